"""What MyST has built: the pages as it wrote them down for a theme."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.support.myst import outputs


def page(project: Path, slug: str) -> Any:
    """One page of the built content."""
    return json.loads((project / "_build" / "site" / "content" / f"{slug}.json").read_text())


def printed(project: Path) -> list[str]:
    """What the cells of all pages printed, an item for each output."""
    content = (project / "_build" / "site" / "content").glob("*.json")
    found = [output for file in sorted(content) for output in outputs(json.loads(file.read_text()))]
    return [output["text"] for output in found if output["output_type"] == "stream"]
