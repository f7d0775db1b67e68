"""The names of the session's kernels, and the directory of kernelspecs in which tools find them."""

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from clinder.kernels.remote import KernelSpec, is_kernel_name
from clinder.target.pages import Named, find_kernels

# The kernel that tools use if a notebook names none (jupyter_client, NATIVE_KERNEL_NAME), and its language.
_DEFAULT = ("python3", "python")


def aliases(specs: Mapping[str, KernelSpec], named: Iterable[Named]) -> tuple[dict[str, str], list[str]]:
    """Return the session's kernel for each name that it does not have, and the names for which there is no kernel.

    If the session has only one kernel of a language, all names of this language stand for it. If it has only one
    kernel, names without a language stand for it. Tools look up a name in lower case (jupyter_client, kernelspec.py).
    """
    have = {name.lower() for name in specs}
    found: dict[str, str] = {}
    unknown: list[str] = []
    for name, language, _ in sorted({*named, Named(*_DEFAULT)}):
        if name.lower() in have:
            continue
        same = [each for each, spec in specs.items() if not language or spec.language.lower() == language.lower()]
        if len(same) == 1:
            found[name] = same[0]
            have.add(name.lower())
        elif name != _DEFAULT[0]:
            unknown.append(name)
    return found, sorted({name for name in unknown if name.lower() not in have})


def kernel_names(project: Path) -> set[Named]:
    """Return the kernels that the notebooks and pages of a project name."""
    return {Named(each.name, each.language) for each in find_kernels(project) if is_kernel_name(each.name)}


def write_specs(home: Path, specs: Mapping[str, KernelSpec], more: Mapping[str, str], project: Path) -> None:
    """Write a kernelspec for each kernel, and for each other name of one."""
    for name, real in {**{name: name for name in specs}, **more}.items():
        directory = home / "kernels" / name.lower()
        directory.mkdir(parents=True)
        content = {
            "argv": [*_bridge(), "{connection_file}", str(home), real, str(project)],
            "display_name": specs[real].display_name,
            "language": specs[real].language,
            # Not "signal": a signal that comes before the bridge handles it would end the bridge.
            "interrupt_mode": "message",
        }
        (directory / "kernel.json").write_text(json.dumps(content))


def _bridge() -> list[str]:
    """Return the command of a bridge. It finds the same modules as this process, and none in a notebook's folder."""
    path = [str(Path(entry).absolute()) for entry in sys.path]
    code = f"import sys; sys.path[:] = {path!r}; from clinder.kernels.process import main; main()"
    return [sys.executable, "-I", "-c", code]
