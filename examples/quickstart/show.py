"""Print what the cells of this project printed when they were executed: `python show.py`, after `myst build`."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CONTENT = Path(__file__).parent / "_build" / "site" / "content"


def streams(node: Any) -> Iterator[str]:
    """Yield the text of every stream output at or below this node of a page."""
    if isinstance(node, dict) and node.get("output_type") == "stream":
        yield node["text"]
    elif isinstance(node, dict | list):
        for child in node.values() if isinstance(node, dict) else node:
            yield from streams(child)


outputs = [text for page in sorted(CONTENT.glob("*.json")) for text in streams(json.loads(page.read_bytes()))]
if not outputs:
    sys.exit("No cell has printed anything yet: run `myst build --site --execute` on a session first.")
print("".join(outputs), end="")
