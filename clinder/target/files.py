"""Read files that can't be trusted, within bounds: the size, the kind of file, and the growth of YAML.

This module does not know what the files mean, or what to do if they can't be read.
"""

import errno
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any

# Bounds of a YAML document. An alias (*x) takes no memory. A merge (<<: *x) copies keys, also those of other merges.
_MAX_DEPTH = 100
_MAX_ALIASES = 100
_MAX_MERGED_KEYS = 1000  # in one mapping
_NO_CONTROLLING_TERMINAL = getattr(os, "O_NOCTTY", 0)


def read_file(path: str | Path, limit: int) -> bytes:
    """Return the content of a regular file of at most ``limit`` bytes. It never waits for the writer of a FIFO.

    Raises OSError for any other file, and ValueError for a path that can't be one.
    """
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | _NO_CONTROLLING_TERMINAL)
    with open(number, "rb") as file:  # noqa: PTH123  (it is open already)
        if not stat.S_ISREG(os.fstat(number).st_mode):
            raise OSError(errno.EINVAL, "no regular file", str(path))
        content = file.read(limit + 1)
    if len(content) > limit:
        raise OSError(errno.EFBIG, f"larger than {limit:,} bytes", str(path))
    return content


def load_yaml(text: str) -> Any:
    """Return the content of a YAML document. Numbers and dates stay text, because they may be refs (1.10, 2024-01-31).

    Raises `yaml.YAMLError`, or one of the errors that PyYAML lets through: ValueError, LookupError, AttributeError,
    ArithmeticError, RecursionError.
    """
    import yaml

    # The loader in C is ten times as fast. Deep nesting would overflow its stack, so it is checked first.
    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    _check_growth(yaml.parse(text, base))

    class Loader(base):  # type: ignore[misc]
        yaml_implicit_resolvers = {  # noqa: RUF012
            first: [each for each in resolvers if each[0].endswith((":bool", ":merge", ":null"))]
            for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
        }

        def flatten_mapping(self, node: yaml.MappingNode) -> None:
            before = len(node.value)
            super().flatten_mapping(node)
            if len(node.value) > before + _MAX_MERGED_KEYS:
                raise yaml.YAMLError("merges that grow without end")

    loader = Loader(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


def _check_growth(events: Iterable[Any]) -> None:
    """Raise YAMLError for a document that is nested too deeply, or has too many aliases."""
    import yaml

    depth = aliases = 0
    for event in events:
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.AliasEvent):
            aliases += 1
        if depth > _MAX_DEPTH or aliases > _MAX_ALIASES:
            raise yaml.YAMLError("nested too deeply, or too many aliases")
