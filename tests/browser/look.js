// What a page or a picture shows, measured in the browser itself.
globalThis.look = {
  links: () => [...document.querySelectorAll("main a[href]")].map((link) => link.href),

  pictures: () =>
    [...document.images].map((image) => ({
      source: image.src,
      alt: image.alt,
      width: image.clientWidth,
      natural: image.complete ? image.naturalWidth : 0,
    })),

  // The elements because of which the page scrolls sideways. An element may scroll in itself.
  tooWide: () => {
    const width = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= width) return [];
    const scrolls = (element) =>
      element && (getComputedStyle(element).overflowX !== "visible" || scrolls(element.parentElement));
    const found = [...document.querySelectorAll("main *")]
      .filter((element) => element.getBoundingClientRect().right > width + 0.5 && !scrolls(element.parentElement))
      .map((element) => `<${element.localName}> ${element.textContent.trim().slice(0, 60)}`);
    return found.length ? found : ["the text of an element that is not too wide itself"];
  },

  // What axe says of the page itself. Its other rules are about the HTML around the page, which only the test has.
  violations: async () => {
    const rules = ["color-contrast", "empty-heading", "heading-order", "image-alt", "link-name", "page-has-heading-one"];
    const { violations } = await axe.run(document, { runOnly: rules, resultTypes: ["violations"] });
    return violations.flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.html.slice(0, 100)}`));
  },

  // The texts of an SVG: their contrast with what is under them, whether they leave the picture, and which they hide.
  texts: (canvas) => {
    const luminance = (color) => {
      const channels = color.match(/[\d.]+/g).slice(0, 3).map((channel) => channel / 255);
      const [r, g, b] = channels.map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const contrast = (one, other) => {
      const [light, dark] = [luminance(one), luminance(other)].sort((a, b) => b - a);
      return (light + 0.05) / (dark + 0.05);
    };
    const [red, green, blue] = [1, 3, 5].map((at) => parseInt(canvas.slice(at, at + 2), 16));
    const under = (x, y) => {
      const shapes = document.elementsFromPoint(x, y).filter((element) => !element.closest("text"));
      const fills = shapes
        .filter((element) => element instanceof SVGGeometryElement)
        .map((shape) => getComputedStyle(shape).fill);
      return fills.find((fill) => fill !== "none") ?? `rgb(${red}, ${green}, ${blue})`;
    };
    const texts = [...document.querySelectorAll("text")];
    const all = texts.map((element) => ({ element, box: element.getBoundingClientRect() }));
    const picture = document.documentElement.getBoundingClientRect();
    const leaves = (box) =>
      box.left < picture.left || box.right > picture.right || box.top < picture.top || box.bottom > picture.bottom;
    const meet = (a, b) => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 3 && b.top < a.bottom - 3;
    return all.map(({ element, box }, number) => {
      const y = (box.top + box.bottom) / 2;
      const points = [box.left + 1, (box.left + box.right) / 2, box.right - 1];
      return {
        text: element.textContent,
        contrast: Math.min(...points.map((x) => contrast(getComputedStyle(element).fill, under(x, y)))),
        outside: leaves(box),
        over: all
          .slice(0, number)
          .filter((other) => meet(box, other.box))
          .map((other) => other.element.textContent),
      };
    });
  },
};
