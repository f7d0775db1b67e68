"""Which kernels there are, under which names, and the directory of kernelspecs in which tools find them."""

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from clinder.kernels.remote import KernelSpec, is_kernel_name
from clinder.target.pages import Named, find_kernels

# The name that tools ask for when a notebook has none (jupyter_client, NATIVE_KERNEL_NAME).
_DEFAULT = ("python3", "python")


def aliases(specs: Mapping[str, KernelSpec], named: Iterable[Named]) -> tuple[dict[str, str], list[str]]:
    """Return which of these names that the session has not can stand for a kernel that it has, and which can't.

    A name stands for the only kernel of its language; of a name without a language, for the only kernel. Tools look for
    a name in small letters (jupyter_client, kernelspec.py).
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
    """Return the kernels that notebooks and pages of a project name."""
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
            # Not by a signal: one that comes before the process handles it would end the process.
            "interrupt_mode": "message",
        }
        (directory / "kernel.json").write_text(json.dumps(content))


def _bridge() -> list[str]:
    """Return the command of a bridge, which finds the modules that this process finds, and none of a notebook's."""
    path = [str(Path(entry).absolute()) for entry in sys.path]
    code = f"import sys; sys.path[:] = {path!r}; from clinder.kernels.process import main; main()"
    return [sys.executable, "-I", "-c", code]
