"""Notebooks to execute, and what their outputs are."""

# mypy: disable-error-code="import-not-found,import-untyped,no-untyped-call"
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nbformat

# Only a session has this variable: a cell that prints it tells where it ran.
WHERE = "import os; print('launched by:', os.environ.get('BINDER_LAUNCH_HOST', 'nobody'), os.getcwd())"

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="

# One cell for each kind of output, and none that differs from one run to the next.
CELLS = [
    "print('one'); print('two')",
    "import sys; print('to stderr', file=sys.stderr)",
    "6 * 7",
    "from IPython.display import HTML, Image, Markdown, display\ndisplay(HTML('<b>bold</b>'), Markdown('*text*'))",
    f"import base64\nImage(base64.b64decode('{PIXEL}'))",
    "handle = display('before', display_id='shown')\nhandle.update('after')",
    "from IPython.display import clear_output\nprint('gone'); clear_output(); print('stays')",
    "print('é ✓ 漢字 \\U0001f600'); print('\\x1b[31mred\\x1b[0m')",
    "None",
    "for n in range(200): print(n, end=' ')",
]
RAISES = "raise ValueError('on purpose')"


def notebook(*cells: str, kernel: str = "python3", language: str = "python") -> Any:
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    for number, cell in enumerate(made.cells):
        cell["id"] = f"cell-{number}"
    made.metadata["kernelspec"] = {"name": kernel, "display_name": kernel, "language": language}
    return made


def everything(*more: str, with_error: bool = True) -> Any:
    """All kinds of outputs, then more cells. One raises, as its tag allows; papermill does not mind that tag."""
    error = [RAISES] if with_error else []
    made = notebook(*CELLS, *error, *more)
    if with_error:
        made.cells[len(CELLS)].metadata["tags"] = ["raises-exception"]
    return made


def write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(content, path)


def outputs(path: Path) -> list[Any]:
    """What a notebook's cells have put out, with their counts; and the language, as the kernel described it."""
    content = json.loads(path.read_text())
    cells = [
        (cell["execution_count"], joined(cell["outputs"]))
        for cell in content["cells"]
        if cell["cell_type"] == "code" and "injected-parameters" not in cell["metadata"].get("tags", [])
    ]
    return [*cells, content["metadata"].get("language_info")]


def joined(outputs: list[Any]) -> list[Any]:
    """The outputs, with what was printed as one: how many messages it takes is a matter of the kernel's time."""
    whole: list[Any] = []
    for each in outputs:
        if whole and each.get("name") and each["name"] == whole[-1].get("name"):
            whole[-1] = {**each, "text": "".join([*whole[-1]["text"], *each["text"]])}
        else:
            whole.append({**each, "text": "".join(each["text"])} if "text" in each else each)
    return whole


def last_text(path: Path) -> str:
    """What a notebook's last cell has printed."""
    outputs = json.loads(path.read_text())["cells"][-1]["outputs"]  # a slow kernel prints in several messages
    return "".join(text for output in outputs for text in output["text"])
