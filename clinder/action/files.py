"""Write the session for later steps to the runner's files (state, variables and outputs), and read it in the last one.

Source: actions/runner, FileCommandManager.cs. actions-toolkit writes the files.
"""

import os
import re

from actions_toolkit import core

from clinder.session import Session

_NOTHING = "-"


def reserve_for_act() -> None:
    """Under act, add an entry for this step, also if it fails later."""
    _export_for_act(_NOTHING, _NOTHING)


def write_session(session: Session) -> None:
    """Write the session for the last step, which stops it, and then for the steps between."""
    core.save_state("url", session.url)
    core.save_state("token", session.token)
    _export_for_act(session.url, session.token, drop=2)
    for name, value in session.env.items():
        core.export_variable(name, value)
    core.set_output("url", session.url)
    core.set_output("token", session.token)
    core.set_output("image", session.image or "")
    core.set_output("ref", session.resolved_ref or (session.spec.ref if session.spec else ""))
    core.set_output("launch-url", session.launch_url or "")


def read_session() -> Session | None:
    """Return the session that the first step has written, or None. Raises `UsageError` for one that can't be used."""
    url, token = core.get_state("url"), core.get_state("token")
    if not token and len(found := _export_for_act(drop=2)) == 2 and _NOTHING not in found:
        url, token = found
    return Session(url, token) if token else None


def _export_for_act(*words: str, drop: int = 0) -> list[str]:
    """Under act, export a stack of sessions: drop ``drop`` words at its end, add ``words``, return the dropped words.

    nektos/act (0.2.89) gives the post step of a Docker action no state, but it gives it exported variables. In a
    composite action, several steps have the same GITHUB_ACTION, so a variable for each does not work. But act runs the
    post steps in the reverse order of all main steps, failed ones included. So a stack works.
    """
    if os.environ.get("ACT") != "true":
        return []
    name = "CLINDER_STATE_" + re.sub("[^A-Z0-9]", "_", os.environ.get("GITHUB_ACTION", "").upper())
    stack = os.environ.get(name, "").split()
    kept = max(0, len(stack) - drop)
    core.export_variable(name, " ".join([*stack[:kept], *words]))
    return stack[kept:]
