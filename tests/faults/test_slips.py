"""What people write by mistake: the exit code, and the words that help them on. Nothing is asked of any hub."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Clinder
from tests.support.hub import FaultyHub

LOCAL = "clinder start local"
ON = ["--repo", "org/repo"]

# The words on the command line, the exit code, and what standard error says.
SLIPS: list[tuple[list[str], int, list[str]]] = [
    # Commands
    (["strat", *ON], 2, ["unknown command: strat", "clinder start?"]),
    (["launch", *ON], 2, ["unknown command: launch", "clinder start?"]),
    (["shutdown"], 2, ["unknown command: shutdown", "clinder stop?"]),
    (["exec", "--", "ls"], 2, ["clinder run?"]),
    (["version"], 2, ["clinder --version?"]),
    (["stat"], 2, ["unknown command: stat", "clinder status?"]),
    (["st"], 2, ["unknown command: st", "Expected one of start"]),
    (["frobnicate"], 2, ["unknown command: frobnicate", "Expected one of start, run, build, stop"]),
    (["local"], 2, ["no command before local", LOCAL]),
    (["--local"], 2, ["no command before --local", LOCAL]),
    (["--", "myst", "build"], 2, ["no command before --", "clinder run -- COMMAND"]),
    (["myst", "build"], 2, ["myst is no command of clinder", "clinder run -- myst"]),
    (["org/repo"], 2, ["no command before the repository", "clinder start --repo org/repo"]),
    (["https://mybinder.org", *ON], 2, ["no command before the address", "start, run, stop or status first"]),
    (["https://hub.example.org/user/x/?token=s3cret"], 2, ["no command before the address"]),
    (["--repo", "org/repo", "start"], 2, ["options go after the command"]),
    (["help", "strat"], 2, ["clinder start?"]),
    (["completion", "bsh"], 2, ["'bash', 'zsh', 'fish'"]),
    # Options
    (["start", "--reff", "main"], 2, ["unknown option: --reff", "--ref?"]),
    (["start", "--reff=main"], 2, ["unknown option: --reff\n", "--ref?"]),
    (["start", "--branch", "main", *ON], 2, ["unknown option: --branch", "--ref?"]),
    (["start", "--repository", "org/repo"], 2, ["--repo?"]),
    (["start", "--hub", "https://mybinder.org"], 2, ["without an option", "clinder start https://mybinder.org"]),
    (["start", "--local"], 2, ["unknown option: --local", LOCAL]),
    (["run", "--local", "--", "ls"], 2, ["unknown option: --local", "clinder run local"]),
    (["start", "--fallback", "https://hub.example.org"], 2, ["--fallback-hub?"]),
    (["start", "--dryrun"], 2, ["--dry-run?"]),
    (["start", "--logfile", "x"], 2, ["--log-file?"]),
    (["stop", "--repo", "org/repo"], 2, ["--repo is an option of: start, run"]),
    (["stop", "--token", "s3cret"], 2, ["unknown option: --token", "clinder stop URL TOKEN"]),
    (["stop", "--s3cretT0ken"], 2, ["unknown option: (not shown"]),
    (["start", "--Repo", "org/repo"], 2, ["unknown option: --Repo", "--repo?"]),
    (["start", "-repo", "org/repo"], 2, ["unknown option: -repo", "--repo?"]),
    (["start", "\u2013repo", "org/repo"], 2, ["unknown option: \u2013repo", "--repo, with two hyphens"]),
    (["start", "{hub}", "\u2014repo=org/repo"], 2, ["unknown option: \u2014repo\n", "--repo, with two hyphens"]),
    (["start", "{hub}", "repo=org/repo"], 2, ["too many arguments", "two hyphens: --repo="]),
    (["start", "{hub}", "build-token=s3cret"], 2, ["too many arguments", "two hyphens: --build-token="]),
    (["start", "--time", "5", *ON], 2, ["unknown option: --time", "--timeout?"]),
    (["start", "--env", "A=s3cret", *ON], 2, ["sets no variables"]),
    (["start", "--hub-token", "s3cret", *ON], 2, ["unknown option: --hub-token", "set CLINDER_HUB_TOKEN"]),
    (["run", "--version"], 2, ["clinder --version"]),
    (["start", "-x"], 2, ["unknown option: -x", "clinder start --help"]),
    (["run", "--json", *ON, "--", "ls"], 2, ["--json with --dry-run"]),
    (["start", "-q", "-v", *ON], 2, ["not allowed with"]),
    (["start", "--repo"], 2, ["--repo", "expected one argument"]),
    (["start", "--timeout", "20min", *ON], 2, ["not a duration: '20min'", "20m, 90s, 1h30m"]),
    (["start", "--timeout", "20", "min", *ON], 2, ["not a duration: '20 min'", "20m, 90s, 1h30m"]),
    (["run", "{hub}", "--timeout", "1", "h", *ON, "--", "ls"], 2, ["not a duration: '1 h'", "20m, 90s, 1h30m"]),
    (["start", "--timeout", "1:30", *ON], 2, ["20m, 90s, 1h30m"]),
    (["start", "--log-file", "no/such/directory", *ON], 2, ["The log file can't be written", "No such file"]),
    # Hubs
    (["start", "org/repo"], 2, ["looks like a repository", "--repo org/repo"]),
    (["start", "org/repo@main"], 2, ["looks like a repository", "--repo org/repo@main"]),
    (["start", "gh/org/repo/main"], 2, ["looks like a repository", "--repo gh/org/repo/main"]),
    (["start", "HTTPS://GitHub.com/org/repo"], 2, ["a repository host, not of a hub", "--repo"]),
    (["start", "github.com/org/repo"], 2, ["a repository host, not of a hub", "--repo"]),
    (["start", "https://github.com/org/repo"], 2, ["a repository host, not of a hub", "--repo"]),
    (["start", "mybinder.org", *ON], 2, ["https://mybinder.org ?"]),
    (["start", "mybinder", *ON], 2, ["https://mybinder.org/ ?"]),
    (["start", "localhost:8000", *ON], 2, ["http://localhost:8000 ?"]),
    (["start", "https:/mybinder.org", *ON], 2, ["https://mybinder.org ?"]),
    (["start", "htps://mybinder.org", *ON], 2, ["https://mybinder.org ?"]),
    (["start", "http//mybinder.org", *ON], 2, ["https://mybinder.org ?"]),
    (["start", "https://mybinder.org/badge_logo.svg"], 2, ["picture of a badge", "the link that the badge leads to"]),
    (["start", ".", *ON], 2, ["'.' is a path", "write local"]),
    (["start", "~/project"], 2, ["is a path on this machine", "give no hub"]),
    (["start", "README.md"], 2, ["'README.md' is a path", "give no hub"]),
    (["start", "10.5281/zenodo.3242074"], 2, ["looks like a repository", "--repo 10.5281/zenodo.3242074"]),
    (
        ["start", "https://hub.example.org/user/x/lab?token=s3cret", *ON],
        2,
        ["of a session", "like https://mybinder.org"],
    ),
    (
        ["start", "https://mybinder.org/v2/org/repo/main"],
        2,
        ["Unknown provider: 'org'", "https://hub/v2/gh/org/repo/ref"],
    ),
    (["start", "https://mybinder.org/v2"], 2, ["The launch link has no repository", "https://hub/v2/gh/org/repo/ref"]),
    (["start", "https://mybinder.org/v2/gl/group/project/main"], 2, ["gl: 'group'", "gl/group%2Fproject/main"]),
    (["start", "https://mybinder.org/v2/gh/org"], 2, ["'org'", "Expected org/repo"]),
    (["start", "{hub}", "https://mybinder.org", *ON], 2, ["too many arguments", "--fallback-hub URL"]),
    (["start", "{hub}", "org/repo"], 2, ["too many arguments", "--repo org/repo?"]),
    (["start", "{hub}", "--fallback-hub", "local", *ON], 2, ["local, can't be a fallback"]),
    # Repositories and refs
    (["start", "{hub}", "--repo", "repo"], 2, ["Not a repository: 'repo'", "Expected org/repo"]),
    (["start", "{hub}", "--repo", "org/repo#main"], 2, ["org/repo with --ref main?"]),
    (["start", "{hub}", "--repo", "org/repo:main"], 2, ["org/repo with --ref main?"]),
    (["start", "{hub}", "--repo", "org/repo/main"], 2, ["org/repo with --ref main", "--provider gl"]),
    (["start", "{hub}", "--repo", "org/repo?urlpath=lab"], 2, ["Did you mean org/repo ?"]),
    (["start", "{hub}", "--repo", "."], 2, ["Not a repository: '.'", "can't read files of this machine"]),
    (["start", "{hub}", "--repo", "git/https://git.example.org/a"], 2, ["Did you mean https://git.example.org/a ?"]),
    (["start", "{hub}", "--repo", "./repo"], 2, ["Not a repository: './repo'", "the embedded hub, local"]),
    (["start", "{hub}", "--repo", "file:///home/me/repo"], 2, ["can't read files of this machine"]),
    (["start", "{hub}", "--repo", "<org>/<repo>"], 2, ["words in brackets are to be replaced"]),
    (["start", "{hub}", "--repo", "https://github.com/org"], 2, ["Expected org/repo"]),
    (["start", "{hub}", "--repo", "https://github.com/org/repo/pull/7"], 2, ["branch of the fork", "--ref"]),
    (["start", "{hub}", *ON, "--ref", "my branch"], 2, ["Not a ref: 'my branch'", "a branch, a tag or a commit"]),
    (["start", "{hub}", *ON, "--provider", "githb"], 2, ["Unknown provider: 'githb'", "github?"]),
    (["start", "{hub}", "--provider", "gh"], 2, ["A provider was given without a repository"]),
    (["start", "{hub}", "--repo", "10.5281/zenodo.1", "--ref", "v1"], 2, ["zenodo has no refs", "Leave the ref out"]),
    (["start", "{hub}"], 2, ["No repository to launch", "--repo org/repo"]),
    # Sessions
    (["stop"], 2, ["No session", "clinder stop 'ADDRESS'", "clinder start --format env"]),
    (["status"], 2, ["No session", "clinder status 'ADDRESS'"]),
    (["stop", "https://hub.example.org/user/x/"], 2, ["no token", "followed by the token"]),
    (["stop", "hub.example.org/user/x?token=s3cret"], 2, ["Not a session's URL", "https://"]),
    (["stop", "https://hub.example.org/user/x/", "\u2013s3cret"], 2, ["The token is empty or too long, or has blanks"]),
    (["stop", "build.sh"], 2, ["not a file", "clinder stop - < build.sh"]),
    (["stop", "-"], 2, ["Standard input has no session", "clinder start --json"]),
    (["stop", "a", "b", "c"], 2, ["too many arguments", "clinder stop --help"]),
    # The command of run
    (["run", "{hub}", *ON], 2, ["No command to run", "clinder run -- myst build"]),
    (["run", "{hub}", "myst", "build"], 2, ["two hyphens are missing", "clinder run HUB -- COMMAND"]),
    (["run", "{hub}", *ON, "--", "myst build --html"], 127, ["clinder run -- myst build --html"]),
    (["run", "{hub}", *ON, "--", "cd", "docs"], 127, ["a word of the shell", "cd DIRECTORY && clinder run"]),
    (["run", "{hub}", *ON, "--", "cd docs && myst build"], 127, ["clinder run -- sh -c 'cd docs && myst build'"]),
    (["run", "{hub}", *ON, "--", "myst build | tee log"], 127, ["clinder run -- sh -c 'myst build | tee log'"]),
    (["run", "{hub}", *ON, "--", "export", "A=1"], 127, ["a word of the shell", "sh -c"]),
    (["run", "{hub}", *ON, "--", "A=s3cret", "ls"], 127, ["clinder run -- env A=... COMMAND"]),
    (["run", "{hub}", *ON, "--", ".", "x"], 127, ["a word of the shell", "sh -c"]),
    (["run", "{hub}", *ON, "--", "a.ipynb"], 127, ["clinder run --kernels -- jupyter execute --inplace a.ipynb"]),
    (["run", "{hub}", *ON, "--", "./a.ipynb"], 126, ["clinder run --kernels -- jupyter execute --inplace ./a.ipynb"]),
    (["run", "{hub}", *ON, "--", "./my page.py"], 126, ["clinder run -- python3 './my page.py'"]),
    (["run", "{hub}", *ON, "--", "--execute"], 127, ["command not found: --execute", "a command before it"]),
    (["run", "{hub}", *ON, "--", ""], 2, ["No command to run"]),
    (["run", "{hub}", *ON, "--", "--", "ls"], 127, ["the two hyphens once"]),
    (["run", "{hub}", *ON, "--", "build.sh"], 127, ["A file of this name is here", "clinder run -- ./build.sh"]),
    (["run", "{hub}", *ON, "--", "./build.sh"], 126, ["not executable", "chmod +x ./build.sh"]),
    (["run", "{hub}", *ON, "--", "./no-such.sh"], 127, ["No such file"]),
    (["run", "{hub}", *ON, "--", "myst", "build"], 127, ["command not found: myst", "npm install -g mystmd"]),
    (["run", "{hub}", *ON, "--", "quarto", "render"], 127, ["https://quarto.org/"]),
    (["run", "{hub}", *ON, "--", "jupyter-book"], 127, ["pip install jupyter-book"]),
    (["run", "{hub}", *ON, "--", "x" * 300], 127, ["command not found: xxx", "Is it installed"]),
    (["run", "{hub}", *ON, "--", "echo " + "x" * 5000], 127, ["command not found: echo xxx", "Each word is an"]),
    (["run", "{hub}", *ON, "--", "x/" * 3000], 127, ["command not found: x/x/", "No such file"]),
    (["run", "{hub}", *ON, "--", "no-such-command"], 127, ["command not found: no-such-command", "Is it installed"]),
]


@pytest.fixture(scope="module")
def hub() -> Iterator[FaultyHub]:
    """A hub that is there, and that nobody should ask."""
    with FaultyHub() as hub:
        yield hub


@pytest.mark.parametrize(("words", "code", "said"), SLIPS, ids=[" ".join(words) for words, _, _ in SLIPS])
def test_a_slip_is_told_with_the_words_that_help(
    clinder: Clinder, hub: FaultyHub, words: list[str], code: int, said: list[str]
) -> None:
    for name in ("build.sh", "a.ipynb", "my page.py"):
        (clinder.directory / name).write_text("echo\n")
    empty = clinder.directory / "bin"
    empty.mkdir()
    done = clinder(*(word.replace("{hub}", hub.url) for word in words), env={"PATH": str(empty)})
    assert (done.returncode, done.stdout) == (code, "")
    assert [each for each in said if each not in done.stderr] == [], done.stderr
    assert len(done.stderr.splitlines()) == 3 or "usage:" in done.stderr
    assert "s3cret" not in done.stderr
    assert "Traceback" not in done.stderr
    assert hub.requests == []


def test_the_table_of_slips_is_rich() -> None:
    assert len(SLIPS) > 100


# What people copy along with an address: clinder reads it all the same.
COPIED = [
    ["start", "\u201chttps://mybinder.org\u201d", "--repo", "\u201corg/repo\u201d"],
    ["start", "'https://mybinder.org/v2/gh/org/repo/HEAD'"],
    ["start", "--repo", "mybinder.org/v2/gh/org/repo/HEAD"],
    ["start", "--repo", '"https://github.com/org/repo"'],
]


@pytest.mark.parametrize("words", COPIED, ids=map(" ".join, COPIED))
def test_quotes_and_a_missing_scheme_are_no_slip(clinder: Clinder, words: list[str]) -> None:
    done = clinder(*words, "--dry-run")
    assert (done.returncode, done.stderr) == (0, "")
    assert "https://mybinder.org/v2/gh/org/repo/HEAD\n" in done.stdout


@pytest.mark.parametrize("token", ["?token={}", "token={}", "\u2018{}\u2019"])
def test_a_token_may_be_copied_with_what_is_around_it(clinder: Clinder, token: str) -> None:
    with FaultyHub() as hub:
        session = json.loads(clinder("start", hub.url, *ON, "--json").stdout)
        assert clinder("stop", session["url"], token.format(session["token"])).returncode == 0
        assert hub.stopped == 1


@pytest.mark.parametrize(
    ("piped", "env", "said"),
    [
        ("export JUPYTER_BASE_URL=http://127.0.0.1/ JUPYTER_TOKEN=s3cret", {}, "eval what it printed"),
        (None, {"JUPYTER_BASE_URL": "http://127.0.0.1/"}, "JUPYTER_TOKEN is not set"),
    ],
)
def test_half_of_a_session_is_told(clinder: Clinder, piped: str | None, env: dict[str, str], said: str) -> None:
    done = clinder("stop", *["-"] * (piped is not None), input=piped or "", env=env)
    assert (done.returncode, said in done.stderr, "s3cret" in done.stderr) == (2, True, False)


def test_a_misspelt_variable_is_told_and_one_of_somebody_else_is_not(clinder: Clinder) -> None:
    theirs = {"CLINDER_SERVICE_HOST": "10.0.0.1", "CLINDER_VERSION": "1", "CLINDER_HUB": "https://hub.example.org"}
    mistaken = {"CLINDER_HUBS": "https://hub.example.org", "CLINDER_TOKEN": "s3cret"}
    done = clinder("start", *ON, "--dry-run", env=theirs | mistaken)
    assert [line.split("warning: ")[1] for line in done.stdout.splitlines() if "warning" in line] == [
        "CLINDER_HUBS is no variable of clinder. Did you mean CLINDER_HUB?",
        "CLINDER_TOKEN is no variable of clinder. Did you mean CLINDER_HUB_TOKEN?",
    ]
    assert "s3cret" not in done.stdout


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_certificates_that_can_not_be_read_are_a_slip_and_no_fault_of_the_network(
    clinder: Clinder, content: str | None
) -> None:
    if content:
        (clinder.directory / "own.pem").write_text(content)
    done = clinder("start", "https://127.0.0.1:9/", *ON, env={"REQUESTS_CA_BUNDLE": "own.pem"})
    assert (done.returncode, done.stdout) == (2, "")
    assert "The certificates of REQUESTS_CA_BUNDLE can't be read: " in done.stderr


@pytest.mark.parametrize("words", [["help"], ["--help"], ["-h"], ["help", "help"]])
def test_help_is_found(clinder: Clinder, words: list[str]) -> None:
    done = clinder(*words)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: clinder ")


def test_help_for_a_command_is_that_commands(clinder: Clinder) -> None:
    assert clinder("help", "stop").stdout == clinder("stop", "--help").stdout


def test_clinder_alone_prints_its_help_and_is_no_success(clinder: Clinder) -> None:
    done = clinder()
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == clinder("--help").stdout


@pytest.mark.parametrize("word", ["-v", "-V"])
def test_the_version_has_short_options(clinder: Clinder, word: str) -> None:
    assert clinder(word).stdout == clinder("--version").stdout


def test_the_word_local_may_have_large_letters(clinder: Clinder, tmp_path: Path) -> None:
    done = clinder("start", "Local", "--dry-run", cwd=tmp_path)
    assert (done.returncode, "hub          local" in done.stdout) == (0, True)
