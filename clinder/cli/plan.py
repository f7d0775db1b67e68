"""The output of a dry run: what would be launched, where and why. This module makes no request."""

import argparse
import json
import re
from typing import TYPE_CHECKING, Any

from clinder._signals import Signals
from clinder.cli.output import write_result
from clinder.errors import UsageError
from clinder.text import escape_ci_commands

if TYPE_CHECKING:
    from clinder.spec import RepoSpec
    from clinder.target.target import Target, Tokens


def check_format(args: argparse.Namespace) -> None:
    """Raise `UsageError` for --json without --dry-run, if the command prints an object only in a dry run."""
    if args.format == "json" and not args.dry_run:
        raise UsageError(
            f"{args.name} prints JSON only in a dry run.", f"Expected --json with --dry-run: clinder {args.name} --help"
        )


def show_plan(
    args: argparse.Namespace, target: "Target", tokens: "Tokens", signals: Signals, command: list[str] | None = None
) -> int:
    """Print what a command would do with a target, as text or as an object; return the exit code."""
    from clinder.hub import DEFAULT_TIMEOUT

    if target.hubs != ("local",):
        target.open_hubs(tokens)  # this checks the tokens
    plan = make_plan(target, args.timeout or DEFAULT_TIMEOUT, command)
    others = "and on" if args.name == "build" else "then"
    write_result(as_json(plan) if args.format == "json" else escape_ci_commands(as_text(plan, others)), signals)
    return 0


def make_plan(target: "Target", timeout: float, command: list[str] | None) -> dict[str, Any]:
    """Return the object for --json: what would be done."""
    repo_source, ref_source, hub_source = (source or None for source in target.sources)
    is_local = target.hubs == ("local",)
    return {
        "hub": target.hubs[0],
        "fallback_hubs": list(target.hubs[1:]),
        **_named(target.spec),
        "directory": target.directory,
        "launch_url": None if is_local else target.spec.launch_link(target.hubs[0]),
        "instead_of": _named(target.instead_of) if target.instead_of else None,
        "from": {"hub": hub_source, "repo": repo_source, "ref": ref_source},
        "notes": list(target.lines[1:]),
        "timeout": timeout,
        "command": command,
    }


def _named(spec: "RepoSpec") -> dict[str, str]:
    return {"provider": spec.provider, "repo": spec.repo, "ref": spec.ref}


def as_json(content: object) -> str:
    """Return an object as JSON on one line, without ``##``, because a CI would run ``##[command]``."""
    return re.sub("#(?=#)", r"\\u0023", json.dumps(content))


def as_text(plan: dict[str, Any], others: str) -> str:
    """Return a plan as text: a line for each value, with its source. ``others`` is the label of the other hubs."""
    from shlex import join

    said = plan["from"]
    repository = [
        ("repository", f"{plan['repo']} ({plan['provider']})", said["repo"]),
        ("ref", plan["ref"], said["ref"]),
    ]
    files = [("files", plan["directory"], None)]
    rows = [
        *(repository if plan["launch_url"] else files),
        *([("instead of", plan["instead_of"]["ref"], None)] if plan["instead_of"] else []),
        ("hub", plan["hub"], said["hub"]),
        *((others, hub, None) for hub in plan["fallback_hubs"]),
        *([("launch link", plan["launch_url"], None)] if plan["launch_url"] else []),
        ("deadline", f"{plan['timeout']:g} seconds", None),
        *([("command", join(plan["command"]), None)] if plan["command"] else []),
        *(("note", note, None) for note in plan["notes"]),
    ]
    return "\n".join(
        ["Nothing is launched: this is a dry run."]
        + [f"  {name:<12} {value}{_source(source)}" for name, value, source in rows]
    )


def _source(source: str | None) -> str:
    if not source:
        return ""
    return f"  ({source})" if source.startswith("by ") else f"  (from {source})"
