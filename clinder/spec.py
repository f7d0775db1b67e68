"""What to launch: a repository of a provider, at a ref; its launch link; and the hub in a launch link. No network.

The encodings are those that BinderHub's repo providers decode (binderhub/repoproviders.py): a hub splits the raw path
of a request at slashes, so the slashes within one part must be encoded. The providers, and the forms in which people
write a repository, are in `clinder.providers`.
"""

import re
from contextlib import suppress
from difflib import get_close_matches
from typing import NamedTuple
from urllib.parse import quote, unquote, urlsplit

from clinder.errors import UsageError
from clinder.giturl import check_length, pasted, quote_text, to_https
from clinder.providers import PROVIDERS as PROVIDERS
from clinder.providers import is_path, is_repository_host, provider_of, recognise
from clinder.providers import provider_named as provider_named

DEFAULT_HUB = "https://mybinder.org/"
# Hubs that anybody may use, for completion in a shell. clinder itself uses only the first of them by default.
PUBLIC_HUBS = (DEFAULT_HUB, "https://binder.projectpythia.org/")


_HOST = r"[\w-]+(\.[\w-]+)*\.?"
_IPV6 = r"[\da-f.]*:[\da-f:.]*"  # Python 3.10 itself takes anything between brackets


def check_url(url: str, name: str, *, secret: bool = False) -> str:
    """Return a URL with a slash at its end. Raises `UsageError` unless it is a plain http(s) address.

    ``name`` is the noun for it in the message. The message repeats the URL, unless it may contain a ``secret``.
    """
    hint = "Expected an address like https://example.org/, of visible ASCII characters, without a query or fragment."
    try:
        check_length(url, name)
        parts = urlsplit(url)
        valid = bool(
            re.fullmatch(r"[!-~]+", url)
            and parts.scheme in ("http", "https")
            and re.fullmatch(_IPV6 if "[" in parts.netloc else _HOST, parts.hostname or "")
            and parts.port != 0
            and not re.search(r"[?#\\]", url)
        )
    except ValueError:
        valid = False
    if not valid:
        raise UsageError(f"Not {name}" + ("." if secret else f": {quote_text(url)}"), hint)
    if parts.username is not None:
        raise UsageError(f"A user name or password in {name} is not supported.", hint)
    return url.rstrip("/") + "/"


class _Spec(NamedTuple):
    repo: str
    ref: str
    provider: str


class RepoSpec(_Spec):
    """A repository of a provider at a ref: what a hub can launch.

    ``repo`` has the form that the provider expects (see `PROVIDERS`). ``ref`` is a branch (it may contain slashes), a
    tag or a commit; HEAD means the default branch. Providers of DOIs and data sets have no refs. ``provider`` may be
    unknown to clinder; then the hub must know it, and checks ``repo``.

    Raises `UsageError` for values that no hub would understand.
    """

    __slots__ = ()

    def __new__(cls, repo: str, ref: str = "HEAD", provider: str = "gh") -> "RepoSpec":
        provider = provider_named(provider)
        _check_repo(repo, provider)
        _check_ref(ref, provider)
        return super().__new__(cls, repo, ref, provider)

    @classmethod
    def parse(cls, text: str, ref: str | None = None, provider: str | None = None) -> "RepoSpec":
        """Return the spec of a repository as people write it.

        ``text`` is a provider's own form (``org/repo``), a URL from a browser's address line, a URL for git clone, a
        launch link, or a DOI. If ``ref`` is None, the ref in the URL (``/tree/<ref>``) counts. If ``provider`` is None,
        it is recognised from the text. Raises `UsageError`.
        """
        text = pasted(text)
        provider = provider_named(provider) if provider else None
        if provider is None and (linked := _linked_spec(text)):
            return linked.at(ref) if ref else linked
        found = recognise(text, provider)
        return cls(found.repo, ref or found.ref or "HEAD", found.provider)

    def at(self, ref: str) -> "RepoSpec":
        """Return the same repository at another ref."""
        return RepoSpec(self.repo, ref, self.provider)

    @property
    def path(self) -> str:
        """The encoded ``<provider>/<spec>``, which follows ``build/`` or ``v2/`` in a hub's URLs."""
        provider = provider_of(self.provider)
        repo = quote(self.repo, safe="" if provider.url_encode else "/")
        ref = f"/{quote(self.ref, safe='/')}"
        if not provider.has_ref or (self.provider not in PROVIDERS and self.ref == "HEAD"):
            ref = ""
        return f"{self.provider}/{repo}{ref}"

    def launch_link(self, hub: str) -> str:
        """Return the link that launches this in a browser, as on a badge; ``hub`` is a hub's URL."""
        return f"{hub.rstrip('/')}/v2/{self.path}"

    def __str__(self) -> str:
        return unquote(self.path)


def _check_repo(repo: str, provider: str) -> None:
    check_length(repo, "a repository")
    declared = provider_of(provider)
    if not re.fullmatch(declared.validate_regex, repo) or not _is_plain(repo):
        raise UsageError(
            f"Not a repository of the provider {provider}: {quote_text(repo)}", f"Expected {declared.placeholder}."
        )
    if re.match(r"https?://[^/]*@|[^/]*//[^/@]*:[^/@]*@", repo, re.IGNORECASE):
        raise UsageError(
            "A password or token in a repository's URL would be shown to everybody.", "Hubs launch public repositories."
        )


def _check_ref(ref: str, provider: str) -> None:
    check_length(ref, "a ref")
    declared = provider_of(provider)
    if not declared.has_ref and ref != "HEAD":
        raise UsageError(
            f"The provider {provider} has no refs, but {quote_text(ref)} was given.",
            f"Leave the ref out: {declared.placeholder} says which version it is.",
        )
    if not re.fullmatch(r"[^/]+(/[^/]+)*", ref) or not _is_plain(ref) or (provider == "gist" and "/" in ref):
        raise UsageError(f"Not a ref: {quote_text(ref)}", "Expected a branch, a tag or a commit.")


def _is_plain(text: str) -> bool:
    """Tell whether text is safe in a URL and on a terminal: no blanks, no control characters, no "." or ".." parts."""
    if re.search(r"[\s\x00-\x20\x7f-\xa0\ud800-\udfff]", text):
        return False
    return not {".", ".."} & set(text.split("/"))


def same_repository(one: RepoSpec, other: RepoSpec) -> bool:
    """Tell whether two specs name the same repository. Different URLs of it and the case of letters do not matter."""

    def key(spec: RepoSpec) -> tuple[str, str]:
        if spec.provider == "git":
            with suppress(UsageError):
                spec = RepoSpec.parse(to_https(spec.repo))
        return spec.provider, spec.repo.lower().rstrip("/").removesuffix(".git")

    return key(one) == key(other)


def parse_path(path: str) -> RepoSpec:
    """Return the spec of an encoded ``<provider>/<spec>``, as in a launch link. Raises `UsageError`."""
    word, _, spec = check_length(path, "a launch link's path").strip("/").partition("/")
    name = provider_named(word) if word else ""
    if name not in PROVIDERS:
        raise UsageError(
            f"Unknown provider: {quote_text(word)}" if word else "The launch link has no repository.",
            f"A launch link is like https://hub/v2/gh/org/repo/ref, with one of {', '.join(PROVIDERS)}. "
            "Give a provider that only the hub knows with --provider and --repo.",
        )
    declared = PROVIDERS[name]
    parts = spec.split("/")
    words = len(parts) if not declared.has_ref else 1 if declared.url_encode else 2
    if name == "git" and re.fullmatch(r"https?%3A|https?:", parts[0], re.IGNORECASE):
        words = max(3, len(parts) - 1)  # a URL in which not all slashes are encoded, as in Jupyter Book's links
    if name == "gl" and len(parts) > 1 and not re.search("%2f", parts[0], re.IGNORECASE):
        raise UsageError(
            f"Not a repository of the provider {name}: {quote_text(parts[0])}",
            "In a launch link, the slashes of a GitLab project are written as %2F: gl/group%2Fproject/main.",
        )
    repo, ref = "/".join(parts[:words]), "/".join(parts[words:])
    return RepoSpec(unquote(repo), unquote(ref) or "HEAD", name)


def parse_hub(text: str) -> tuple[str, RepoSpec | None]:
    """Return a hub's URL, and the spec if text is a launch link (``https://hub/v2/gh/org/repo/ref?urlpath=...``).

    For a badge in Markdown, this is the link of the badge. The query of a link (urlpath, filepath, labpath) is for a
    browser, and is ignored. Raises `UsageError`; its hint says what the person probably meant.
    """
    address = check_length(_address(text), "a BinderHub's URL")
    meant = _meant_hub(address)
    _refuse_other_addresses(address, meant)
    hub, path = _split_link(address) or (address, "")
    if not path and is_repository_host(meant or hub):
        raise UsageError(
            f"{quote_text(address)} is the address of a repository host, not of a hub.",
            "Give it with --repo (the Action's repo).",
        )
    if not path and re.search(r"/user/.*[?&]token=", text):
        raise UsageError(
            "That is the address of a session, not of a hub.",
            "Give it to clinder status or clinder stop. The URL of a hub is like https://mybinder.org/.",
        )
    return check_url(hub, "a BinderHub's URL"), parse_path(path) if path else None


def _refuse_other_addresses(address: str, meant: str) -> None:
    """Raise `UsageError` for a path, a repository, or an address without its scheme; ``meant`` is the URL for that."""
    if is_path(address) or _FILE.match(address):
        host = f" For a host of that name, write {meant}" if address.endswith(_ALSO_HOSTS) else ""
        raise UsageError(
            f"{quote_text(address)} is a path on this machine, not a hub's URL.",
            f"To launch the repository that you are in, give no hub. For the embedded hub, write local.{host}",
        )
    if meant and not is_repository_host(meant):
        raise UsageError(f"Not a BinderHub's URL: {quote_text(address)}", f"Did you mean {meant[:200]} ?")
    if _DOI.match(address) or (re.fullmatch(r"(\w+:(?!\d+/))?[\w.-]+/[\w.@%:-]+(/[\w.@%:-]*)*", address) and not meant):
        raise UsageError(
            f"{quote_text(address)} looks like a repository, not like a hub's URL.",
            f"Give it with --repo {address[:200]} (the Action's repo).",
        )


# The name of a file such as a notebook, where a hub's URL is expected; and the endings that hosts have as well.
_FILE = re.compile(r"[\w-]+\.(?:ipynb|md|rst|ya?ml|json|py|txt|toml|R|sh)$")
_ALSO_HOSTS = (".md", ".py", ".sh")
_DOI = re.compile(r"(?:doi:)?10\.\d{4,9}/", re.IGNORECASE)


def _meant_hub(address: str) -> str:
    """Return the probable URL for an address whose scheme is missing or misspelled; empty if it has a valid scheme.

    For a word that looks like mybinder, return mybinder.org's URL.
    """
    if _DOI.match(address):
        return ""
    if re.fullmatch(r"(localhost|127\.0\.0\.1)(:\d+)?(/[!-~]*)?", address):
        return f"http://{address}"
    if re.fullmatch(r"[\w-]+(\.[\w-]+)+(:\d+)?(/[!-~]*)?", address):
        return f"https://{address}"
    if match := re.fullmatch(
        r"(?!https?://)[a-z]{3,6}(?::/{0,3}|/{2,3})([\w-]+(?:\.[\w-]+)+(?::\d+)?(?:/[!-~]*)?)", address
    ):
        return f"https://{match[1]}"
    return DEFAULT_HUB if get_close_matches(address.lower()[:40], ("mybinder",), cutoff=0.75) else ""


def _linked_spec(text: str) -> RepoSpec | None:
    """Return the spec in a launch link or its path, if its provider is known; None if text is no such link."""
    address = _address(text)
    if re.match(rf"({'|'.join(PROVIDERS)})/(?!https?:)[^/@]+/.", address):  # git/https://... may have no ref
        return parse_path(address)
    if "://" not in address:
        address = _meant_hub(check_length(address, "a launch link"))
    if not re.match("https?://", address) or is_repository_host(address):
        return None
    _, path = _split_link(check_length(address, "a launch link")) or ("", "")
    return parse_path(path) if path.partition("/")[0] in PROVIDERS else None


def _address(text: str) -> str:
    """Return an address without query and fragment; for a badge in Markdown, the address that it links to."""
    text = pasted(text)
    badge = re.fullmatch(r"\[?!\[[^]]*\]\([^)]*\)\]\(([^)\s]*)\)", text)
    return re.split(r"[?#]", badge[1] if badge else text, maxsplit=1)[0]


# A launch link; the URL of a build stream, which people copy from tools; a link of the first Binder.
_LINK = re.compile(rf"/v2(?:/|$)|/build/(?=(?:{'|'.join(PROVIDERS)})/)|(?<=[/.]mybinder\.org)/repo/")


def _split_link(address: str) -> tuple[str, str] | None:
    """Return the hub and the ``<provider>/<spec>`` of a launch link; None if the address is no launch link."""
    if re.search(r"/badge(_logo)?\.svg$", address):
        raise UsageError(
            f"That is the picture of a badge: {quote_text(address)}", "Expected the link that the badge leads to."
        )
    link = _LINK.search(address)
    if not link:
        return None
    path = address[link.end() :] or "/"
    return address[: link.start()], f"gh/{path}" if link[0] == "/repo/" else path
