"""What is checked, in one place: `nox` runs lint and tests; `nox -l` lists the rest."""

import os
import shutil
from pathlib import Path

import nox

nox.needs_version = ">=2024.4.15"
nox.options.sessions = ["lint", "tests", "kernels"]
nox.options.reuse_existing_virtualenvs = True
nox.options.error_on_missing_interpreters = True

HUB = Path("tests/hub")
BROWSER = Path("tests/browser")


def files(*patterns: str) -> list[str]:
    return sorted(str(path) for pattern in patterns for path in Path().glob(pattern))


WORKFLOWS = files(".github/workflows/*.yml")
# The reference is left out: its words are those of the code, and tests hold it to that.
PROSE = files("*.md", *(f"docs/{name}*.md" for name in ("", "tutorial/", "explanation/", "how-to/", "maintainers/")))
EXAMPLES = files("examples/workflows/*.yml", "examples/*/.github/workflows/*.yaml")  # for users to copy
# What check-jsonschema calls a schema, and the files that follow it.
SCHEMAS = {
    "github-actions": ["action.yml"],
    "github-workflows": [*WORKFLOWS, *EXAMPLES],
    "github-issue-forms": [file for file in files(".github/ISSUE_TEMPLATE/*.yml") if not file.endswith("config.yml")],
    "github-issue-config": [".github/ISSUE_TEMPLATE/config.yml"],
    "dependabot": [".github/dependabot.yml"],
    "citation-file-format": ["CITATION.cff"],
    "gitlab-ci": ["examples/ci/.gitlab-ci.yml"],
    "readthedocs": ["examples/ci/.readthedocs.yaml"],
}


def install(session: nox.Session, lock: str) -> None:
    session.install("--require-hashes", "-r", lock, silent=True)
    session.install("--require-hashes", "--no-deps", "-r", "requirements/image.txt", silent=True)
    session.install("--no-deps", "-e", ".", silent=True)


def install_hub(session: nox.Session) -> None:
    """Add the real BinderHub, its proxy and MyST."""
    session.install("--no-deps", "--require-hashes", "-r", str(HUB / "binderhub.txt"), silent=True)
    session.run("npm", "ci", "--prefix", str(HUB), "--no-audit", "--no-fund", external=True, silent=True)


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff, mypy, the order of the layers; what GitHub and others read: valid and harmless."""
    install(session, "requirements/dev.txt")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("mypy")
    session.run("mypy", "--platform", "darwin", "clinder")  # uses nothing that only Linux has
    session.run("lint-imports")
    for schema, named in SCHEMAS.items():
        session.run("check-jsonschema", "--quiet", "--builtin-schema", f"vendor.{schema}", *named)
    # Without the linters of shells and Python that happen to be on this machine.
    session.run("actionlint", "-no-color", "-shellcheck=", "-pyflakes=", *WORKFLOWS, *EXAMPLES)
    zizmor = ("zizmor", "--offline", "--no-progress", "--color=never", "--quiet")
    session.run("proselint", "check", "--config", "docs/proselint.json", *PROSE)
    session.run(*zizmor, ".github")
    session.run(*zizmor, "--config=examples/zizmor.yml", "action.yml", *EXAMPLES)


@nox.session
def tests(session: nox.Session) -> None:
    """All tests but those of `kernels`, `action` and `browser`, on real servers. Python 3.11 or newer and Node.js."""
    install(session, "requirements/dev.txt")
    install_hub(session)
    # Most tests wait rather than work, so there are more workers than processors.
    workers = str(3 * (os.cpu_count() or 1))
    chosen = ["-m", "not docker", "--ignore", "tests/kernels", "--ignore", str(BROWSER)]
    session.run("pytest", "-n", workers, "--dist", "worksteal", *chosen, *session.posargs)


@nox.session
def kernels(session: nox.Session) -> None:
    """The tests of `run --kernels` with the tools that execute notebooks. Python 3.11 or newer and Node.js."""
    install(session, "tests/kernels/tools.txt")
    install_hub(session)
    workers = str(2 * (os.cpu_count() or 1))
    session.run("pytest", "-n", workers, "--dist", "loadfile", "tests/kernels", *session.posargs)


@nox.session
def action(session: nox.Session) -> None:
    """The tests of the Action in real containers; .ci/docker/ sets an engine and its images up."""
    install(session, "requirements/dev.txt")
    install_hub(session)
    session.run("pytest", "-n", str(2 * (os.cpu_count() or 1)), "-m", "docker", "tests/action", *session.posargs)


@nox.session
def browser(session: nox.Session) -> None:
    """The pages and pictures of the documentation, looked at in Chromium. Python 3.11 or newer and Node.js."""
    found = filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome")))
    chromium = os.environ.get("CHROMIUM") or next(found, None)
    if chromium is None:
        session.error("There is no Chromium: `apt-get install chromium` on Debian, or name the program in $CHROMIUM")
    session.install("--require-hashes", "-r", str(BROWSER / "tools.txt"), silent=True)
    session.run("npm", "ci", "--prefix", str(BROWSER), "--no-audit", "--no-fund", external=True, silent=True)
    session.run("pytest", str(BROWSER), *session.posargs, env={"CHROMIUM": chromium})


@nox.session(python=["3.10", "3.11", "3.12", "3.13", "3.14"])
def unit(session: nox.Session) -> None:
    """The tests that need no real hub, on each supported Python."""
    install(session, "requirements/unit.txt")
    session.run(
        "pytest", "-n", "auto", "tests/unit", "tests/faults", "tests/action/test_entrypoints.py", *session.posargs
    )


@nox.session
def soak(session: nox.Session) -> None:
    """Random trials of start, run and the Action, as many as one likes: nox -s soak -- 2000 --seed 7."""
    install(session, "requirements/unit.txt")
    session.run("python", "-m", "tests.soak", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """The documentation as MyST's content, its cells on a session of the embedded hub: docs/_build/site."""
    install(session, "requirements/dev.txt")
    session.run("npm", "ci", "--prefix", str(HUB), "--no-audit", "--no-fund", external=True, silent=True)
    session.chdir("docs")
    myst = "../tests/hub/node_modules/.bin/myst"
    session.run("clinder", "run", "local", "--", myst, "build", "--site", "--strict", "--execute")


@nox.session
def benchmarks(session: nox.Session) -> None:
    """The figures of benchmarks/README.md."""
    install(session, "requirements/unit.txt")
    session.run("python", "benchmarks/run.py", *session.posargs)
