"""The messages that clinder can print as an error or a warning, collected from its source.

A message is the text of an exception of clinder, of an `Obstacle` or a `Verdict`, or of an error of the parser. It is
also a line that a kernel's bridge tells, the reason why a session was lost, an error or a warning of the Action, and
each text that begins with "error:" or "warning:". Parts that are known only at run time are shown as "…". If a text is
put together elsewhere (in a variable, by a function of clinder), it is read there.
"""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from functools import cache
from itertools import product
from pathlib import Path
from typing import NamedTuple

from clinder.errors import ClinderError
from tests.support.runner import ROOT

PACKAGE = ROOT / "clinder"
NOT_PRINTED = {"testing.py"}  # the tests' hub
UNKNOWN = "…"
_PREFIX = re.compile(r"(?:error|warning): ")
_DEEPEST = 6  # steps from a text to where it is written
_MOST = 64  # forms of one text

Function = ast.FunctionDef | ast.AsyncFunctionDef


class Module(NamedTuple):
    """A module's file, and what it defines: values and functions, those of its classes included."""

    path: Path
    tree: ast.Module
    functions: dict[str, list[Function]]
    values: dict[str, list[ast.expr]]


def read(path: Path) -> Module:
    """Read a module."""
    tree = ast.parse(path.read_text())
    functions: dict[str, list[Function]] = {}
    for node in ast.walk(tree):
        if isinstance(node, Function):
            functions.setdefault(node.name, []).append(node)
    return Module(path, tree, functions, _assigned(tree.body))


@cache
def modules() -> tuple[Module, ...]:
    """All modules of clinder whose messages are printed."""
    return tuple(read(path) for path in sorted(PACKAGE.rglob("*.py")) if path.name not in NOT_PRINTED)


def messages(several: tuple[Module, ...] | None = None) -> dict[str, str]:
    """Return each message and the module that it is written in."""
    every = several or modules()
    kinds = {kind.__name__ for kind in all_kinds()} | {"Obstacle", "ArgumentTypeError"}
    found: dict[str, str] = {}
    for module in every:
        for text, scope in _sources(module, kinds):
            for form in _Reader(every, module, scope).forms(text):
                if words := canonical(form):
                    found.setdefault(words, module.path.as_posix().rpartition("/clinder/")[2])
    return found


def canonical(text: str) -> str:
    """Return the first line of a message without the prefix of its kind, and without what differs at its end."""
    text = re.sub(r"\{\d*\}", UNKNOWN, _PREFIX.sub("", text).partition("\n")[0])
    text = re.sub(rf"(?:\s*{UNKNOWN})+", lambda match: match[0][: match[0].index(UNKNOWN) + 1], text)
    text = re.sub(rf"[\s:;,.]*(?:\W{UNKNOWN}\W*)?$", "", " ".join(text.split()))
    return text if re.search(r"[A-Za-z]{3}", text) else ""


def all_kinds(kind: type[ClinderError] = ClinderError) -> Iterator[type[ClinderError]]:
    """Yield the kinds of clinder's errors."""
    importlib.import_module("clinder.launch.verdict")  # it has kinds of its own
    yield kind
    for each in kind.__subclasses__():
        yield from all_kinds(each)


def _sources(module: Module, kinds: set[str]) -> Iterator[tuple[ast.expr, Function | None]]:
    """Yield the expressions that are messages, with the function that each is in."""
    for node, scope in _with_scope(module.tree, None):
        if isinstance(node, ast.Call):
            name = _name(node.func)
            if name in kinds | {"refuse", "_tell"} and node.args:
                yield node.args[0], scope
            elif name == "Verdict" and len(node.args) > 1:
                yield node.args[1], scope
            elif name == "command" and node.args and ast.unparse(node.args[0]) in ("'error'", "'warning'"):
                yield from ((text, scope) for text in node.args[1:])
                yield from ((word.value, scope) for word in node.keywords if word.arg == "title")
        elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "self.loss":
            yield node.value, scope
        elif isinstance(node, (ast.JoinedStr, ast.Constant)) and _PREFIX.match(_beginning(node)):
            yield node, scope


def _with_scope(node: ast.AST, scope: Function | None) -> Iterator[tuple[ast.AST, Function | None]]:
    for child in ast.iter_child_nodes(node):
        inner = child if isinstance(child, Function) else scope
        yield child, inner
        if not isinstance(child, ast.JoinedStr):
            yield from _with_scope(child, inner)
        else:  # its constants are parts of it
            for part in child.values:
                if isinstance(part, ast.FormattedValue):
                    yield from _with_scope(part, inner)


def _beginning(node: ast.expr) -> str:
    if isinstance(node, ast.JoinedStr):
        return _beginning(node.values[0]) if node.values else ""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _name(function: ast.expr) -> str:
    return (
        function.attr if isinstance(function, ast.Attribute) else function.id if isinstance(function, ast.Name) else ""
    )


def _assigned(body: list[ast.stmt]) -> dict[str, list[ast.expr]]:
    """Return what is assigned to each name in a function or a module, other functions left out."""
    found: dict[str, list[ast.expr]] = {}
    waiting: list[ast.AST] = list(body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, (Function, ast.ClassDef)):
            continue
        waiting.extend(ast.iter_child_nodes(node))
        match node:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
                | ast.NamedExpr(target=ast.Name(id=name), value=value)
                | ast.Assign(targets=[ast.Tuple(elts=[ast.Name(id=name), *_])], value=value)  # the first is the message
            ):
                found.setdefault(name, []).append(value)
    return found


class _Reader:
    """Reads an expression as the texts that it may be."""

    def __init__(self, several: tuple[Module, ...], module: Module, scope: Function | None, depth: int = 0) -> None:
        self._several = several
        self._module = module
        self._scope = scope
        self._depth = depth

    def forms(self, node: ast.expr) -> list[str]:
        """Return the texts that an expression may be, each once."""
        if self._depth > _DEEPEST:
            return [UNKNOWN]
        return list(dict.fromkeys(self._forms(node)))[:_MOST]

    def _forms(self, node: ast.expr) -> list[str]:
        match node:
            case ast.Constant(value=str(text)):
                return [text]
            case ast.Constant(value=None):
                return []
            case ast.JoinedStr(values=parts):
                return self._joined(parts)
            case ast.BinOp(op=ast.Add(), left=left, right=right):
                return [a + b for a, b in product(self._deeper().forms(left), self._deeper().forms(right))]
            case ast.IfExp(body=one, orelse=other):
                return [*self.forms(one), *self.forms(other)]
            case ast.BoolOp(values=several):
                return [form for each in several for form in self.forms(each)]
            case ast.Tuple(elts=[first, *_]) | ast.Starred(value=first) | ast.NamedExpr(value=first):
                return self.forms(first)
            case ast.Name(id=name):
                return self._value_of(name)
            case ast.Call():
                return self._result_of(node)
        return [UNKNOWN]

    def _joined(self, parts: list[ast.expr]) -> list[str]:
        plain = "".join(str(part.value) if isinstance(part, ast.Constant) else UNKNOWN for part in parts)
        if canonical(plain):
            return [plain]
        inner = self._deeper()
        several = [
            inner.forms(part.value) if isinstance(part, ast.FormattedValue) else inner.forms(part) for part in parts
        ]
        return ["".join(form) for form in product(*several)]

    def _value_of(self, name: str) -> list[str]:
        values = _assigned(self._scope.body).get(name) if self._scope else None
        for module in [self._module, *self._several]:
            values = values or module.values.get(name)
        inner = self._deeper()
        return [form for value in values or () for form in inner.forms(value)] or [UNKNOWN]

    def _result_of(self, call: ast.Call) -> list[str]:
        """Return what a call gives: what a function of clinder's returns, or the text that another one changes."""
        name = _name(call.func)
        if isinstance(call.func, ast.Attribute) and name == "format":
            return [re.sub(r"\{[^}]*\}", UNKNOWN, form) for form in self._deeper().forms(call.func.value)]
        if isinstance(call.func, ast.Attribute) and name == "join" and call.args:
            return self._members(call.args[0])
        if ast.unparse(call.func).startswith("re."):  # its words are a pattern
            return [UNKNOWN]
        own = self._module.functions.get(name)
        for module in self._several if not own else ():
            own = own or module.functions.get(name)
        returned = [form for function in own or () for form in self._returned(function)]
        if any(map(canonical, returned)):
            return returned
        return [form for argument in call.args[:1] for form in self._deeper().forms(argument)] or [UNKNOWN]

    def _members(self, several: ast.expr) -> list[str]:
        """Return the members of a list that are texts of their own."""
        match several:
            case ast.List(elts=members) | ast.Tuple(elts=members):
                return [form for member in members for form in self._deeper().forms(member)]
            case ast.Call(func=ast.Name(id="map" | "filter"), args=[_, inner]):
                return self._members(inner)
        return [UNKNOWN]

    def _returned(self, function: Function) -> list[str]:
        module = next(module for module in self._several if function in module.functions.get(function.name, ()))
        reader = _Reader(self._several, module, function, self._depth + 1)
        returns = [each.value for each, _ in _with_scope(function, None) if isinstance(each, ast.Return) and each.value]
        return [form for value in returns for form in reader.forms(value)]

    def _deeper(self) -> _Reader:
        return _Reader(self._several, self._module, self._scope, self._depth + 1)


if __name__ == "__main__":
    for _text, _where in sorted(messages().items(), key=lambda item: item[1]):
        print(f"{_where:28} {_text}")
