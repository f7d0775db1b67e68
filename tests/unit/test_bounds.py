"""Any content of a project's files costs little memory and little time, and an error says what was wrong."""

import hashlib
import json
import os
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from dulwich.objects import RawObjectID
from dulwich.pack import write_pack_index

from clinder import UsageError
from clinder.target.environment import _READERS, _Broad, _words
from clinder.target.files import load_yaml, read_file
from clinder.target.target import resolve_target
from tests.support.git import URL, Git
from tests.support.pairs import each

SECONDS, MEBIBYTES = 2, 128
SHA = "0123456789abcdef0123456789abcdef01234567"
PULL_REQUEST = {"GITHUB_ACTIONS": "true", "GITHUB_REPOSITORY": "org/repo", "GITHUB_SHA": SHA}
PULL_REQUEST |= {"GITHUB_EVENT_NAME": "pull_request"}
ALIASES = "\n".join(["l0: &l0 [x]", *(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 30))])
MERGES = "\n".join(["l0: &l0 {a: 1}", *(f"l{n}: &l{n} {{<<: [*l{n - 1}, *l{n - 1}], b{n}: 1}}" for n in range(1, 45))])

# The child's own account: the processor's time that it took, its peak memory, and what it said.
CHILD = """
import json, os, resource, sys, time
from pathlib import Path
from clinder import UsageError
from clinder.target.target import resolve_target
import clinder.target.checkout, yaml
began = time.process_time()
try:
    reuse = "REUSE" in os.environ
    target = resolve_target(hub=os.environ.get("HUB"), reuse_image=reuse, environ=os.environ, directory=Path.cwd())
    said = " ".join(target.lines) if reuse else str(target.spec)
except UsageError as error:
    said = error.message
if sys.platform == "darwin":
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
else:  # ru_maxrss would count what the test's own process had when it forked
    peak = int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) / 2**10
print(json.dumps([time.process_time() - began, peak, said]))
"""


def resolve(directory: Path, **environ: str) -> str:
    """What resolve_target() says in a process of its own, within the bounds."""
    env = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join(sys.path),
        "HOME": str(directory.parent),
        **environ,
    }
    done = subprocess.run(
        [sys.executable, "-c", CHILD], cwd=directory, env=env, capture_output=True, text=True, timeout=60, check=True
    )
    seconds, peak, said = json.loads(done.stdout)
    assert peak < MEBIBYTES
    assert seconds < SECONDS
    return str(said)


MYST = {
    "aliases": ALIASES + "\nproject: {binder: *l29}",
    "merges": MERGES + "\nproject: {<<: *l44}",
    "a merge of many": "a: &a {"
    + ", ".join(f"k{n}: 1" for n in range(999))
    + "}\nproject: {<<: ["
    + "*a, " * 99
    + "]}",
    "nesting": "[" * 200_000,
    "nested lists": "- " * 100_000,
    "nested mappings": "{a: " * 60_000,
    "3 MB": "# a comment\n" * 250_000,
    "keys": "".join(f"k{n}: v\n" for n in range(22_000)) + "project: {binder: [x]}",
    "a long value": "project: {binder: '" + "a" * 200_000 + "'}",
    "a long repository": "project: {binder: {repo: '" + "a/" * 100_000 + "'}}",
    "a long path at a host": "project: {binder: {repo: 'https://github.com/" + "a/" * 100_000 + "'}}",
    "signs": "project: {binder: {repo: '" + "@" * 200_000 + "'}}",
}


@pytest.mark.parametrize("name", MYST)
def test_a_myst_yml_that_grows_is_read_within_bounds_or_not_at_all(tmp_path: Path, name: str) -> None:
    (tmp_path / "myst.yml").write_text(MYST[name])
    assert "myst.yml" in resolve(tmp_path)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def fifo(path: Path) -> None:
    os.mkfifo(path)


def sparse(path: Path) -> None:
    path.touch()
    os.truncate(path, 2**33)


KINDS: list[Callable[[Path], None]] = [device, fifo, sparse]


@pytest.mark.parametrize("make", KINDS)
def test_a_myst_yml_that_is_no_small_file_is_not_read(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "myst.yml")
    assert "myst.yml can't be read as MyST's configuration" in resolve(tmp_path)


@pytest.mark.parametrize("make", KINDS)
def test_an_event_that_is_no_small_file_is_not_read(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "event")
    said = resolve(tmp_path, **PULL_REQUEST, GITHUB_EVENT_PATH=str(tmp_path / "event"))
    assert "can't be read from $GITHUB_EVENT_PATH" in said


@pytest.mark.parametrize(
    "event",
    [
        '{{"pull_request": {{"head": {{"sha": "{}", "repo": {{"full_name": "{}"}}}}}}}}'.format(SHA, "a/" * 40_000),
        "[" * 2_000_000,
        "[" + "[]," * 690_000 + "[]]",
        "[" + "{}," * 690_000 + "{}]",
        '{"pull_request": ' + "9" * 1_000_000 + "}",
    ],
    ids=["a name of 80 kB", "nesting", "lists", "mappings", "a number"],
)
def test_an_event_that_grows_is_read_within_bounds(tmp_path: Path, event: str) -> None:
    (tmp_path / "event").write_text(event)
    said = resolve(tmp_path, **PULL_REQUEST, GITHUB_EVENT_PATH=str(tmp_path / "event"))
    assert len(said) < 500


@pytest.fixture
def git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Git:
    """A checkout with a commit that its remote has."""
    git = Git(tmp_path, monkeypatch)
    git.commit()
    git("remote", "add", "origin", URL)
    git.pushed()
    return git


@pytest.mark.parametrize("make", KINDS)
@pytest.mark.parametrize("name", ["config", "HEAD", "packed-refs", "shallow", "objects/info/alternates", "commondir"])
def test_a_checkout_whose_own_files_are_none_is_not_read(git: Git, make: Callable[[Path], None], name: str) -> None:
    path = git.path / ".git" / name
    path.unlink(missing_ok=True)
    make(path)
    assert "is in no git checkout that can be read" in resolve(git.path)


@pytest.mark.parametrize(
    ("make", "name"), [*((make, "refs/heads/main") for make in KINDS), (device, "objects"), (fifo, "objects")]
)
def test_a_checkout_whose_refs_and_objects_are_no_files_is_not_read(
    git: Git, make: Callable[[Path], None], name: str
) -> None:
    path = git.path / ".git" / name
    if name == "objects":
        path /= f"{git.head[:2]}/{git.head[2:]}"
    path.unlink(missing_ok=True)
    make(path)
    assert "is in no git checkout that can be read" in resolve(git.path)


@pytest.mark.parametrize("make", KINDS)
def test_an_include_of_what_is_no_small_file_is_passed_over(git: Git, make: Callable[[Path], None]) -> None:
    head = git.head  # git itself would read them
    make(git.path / "included")
    with (git.path / ".git" / "config").open("a") as config:
        config.write("[include]\n path = ../included\n path = /dev/zero\n path = config\n")
    assert resolve(git.path) == f"gh/org/repo/{head}"


@pytest.mark.parametrize(
    "content",
    [
        '[remote "o"]\n url = ' + "a" * 200_000,
        "[" * 200_000,
        "[a]\n" * 50_000,
        "[a]\n b = \\\n" + "\\\n" * 80_000,
        "[a]\n b = " + '"' * 200_000,
        "[a]\n" + "b = c\n" * 40_000,
        "[a " + '"' + "\\" * 200_000 + '"]',
        '[url "x"]\n' + "insteadOf = y\n" * 15_000,
    ],
)
def test_a_configuration_that_grows_is_read_within_bounds(git: Git, content: str) -> None:
    head = git.head
    with (git.path / ".git" / "config").open("a") as config:
        config.write(content)
    said = resolve(git.path)
    assert "no git checkout" in said or head in said


def test_a_remote_of_any_length_is_no_use(git: Git) -> None:
    for url in ("https://github.com/" + "a/" * 50_000, "a@b:" + "/" * 100_000, "ssh://" + "a" * 100_000 + "/ "):
        git("config", "remote.origin.url", url)
        assert "no remote that a hub could reach" in resolve(git.path)


def pushed_commit(git: Git, tree: str) -> str:
    git("reset", "-q", git("commit-tree", "-m", "x", "-p", git.head, tree))
    git.pushed()
    return git.head


@pytest.mark.parametrize("unpacked", [100, 1], ids=["loose", "packed"])
def test_a_file_of_the_environment_that_inflates_to_a_quarter_of_a_gigabyte_is_not_read(
    git: Git, unpacked: int
) -> None:
    options = ["-c", "core.compression=1", "-c", f"fastimport.unpackLimit={unpacked}"]
    command = ["git", *options, "fast-import", "--quiet", "--big-file-threshold=1m"]
    stream = subprocess.Popen(command, cwd=git.path, stdin=subprocess.PIPE)
    assert stream.stdin
    with stream, stream.stdin as stdin:
        stdin.write(b"blob\nmark :1\ndata %d\n" % 2**28)
        for _ in range(2**8):
            stdin.write(b"a" * 2**20)
        stdin.write(
            b"commit refs/heads/large\ncommitter a <a@b> 1700000000 +0000\ndata 0\nM 100644 :1 environment.yml\n"
        )
    assert len([*(git.path / ".git/objects/pack").glob("*.pack")]) == (unpacked == 1)
    pushed_commit(git, "refs/heads/large^{tree}")
    assert "environment.yml is too large" in resolve(git.path, REUSE="1")


def number(value: int, first: int = 7) -> bytes:
    """A number as packs have it: seven bits a byte, the lowest first; fewer in the first byte of an object."""
    found = [value & ((1 << first) - 1)]
    value >>= first
    while value:
        found[-1] |= 128
        found.append(value & 127)
        value >>= 7
    return bytes(found)


def packed(kind: int, size: int, base: bytes, content: bytes) -> bytes:
    first, *rest = number(size, 4)
    head = bytes([(first & 128) | kind << 4 | (first & 15), *rest])
    return head + base + zlib.compress(content)


BASE, BOMB = b"a" * 20, b"b" * 20
COPIES = number(2**16) + number(2**30) + b"\x80" * 2**14  # each of the whole base
CHAIN = number(2**16) + number(2**16) + b"\0" * 2**22  # nothing but large


@pytest.mark.parametrize(
    "objects",
    [
        [(BASE, packed(3, 2**16, b"", bytes(2**16))), (BOMB, packed(7, len(COPIES), BASE, COPIES))],
        [
            (BASE, packed(3, 2**16, b"", bytes(2**16))),
            *((bytes([n]) * 20, packed(7, len(CHAIN), bytes([n - 1]) * 20 if n else BASE, CHAIN)) for n in range(40)),
            (BOMB, packed(7, len(CHAIN), bytes([39]) * 20, CHAIN)),
        ],
        [(BASE, packed(7, 5, BOMB, b"\1\1\1a")), (BOMB, packed(7, 5, BASE, b"\1\1\1a"))],
        [(BASE, packed(3, 2**33, b"", b"a")), (BOMB, packed(7, 4, BASE, b"\1\1\1a"))],
    ],
    ids=["a delta that copies", "a chain of deltas", "a circle of deltas", "a base that is said to be large"],
)
def test_a_file_of_the_environment_that_deltas_make_large_is_not_read(
    git: Git, objects: list[tuple[bytes, bytes]]
) -> None:
    listed = f"100644 blob {BOMB.hex()}\tenvironment.yml\n"
    tree = subprocess.run(
        ["git", "mktree", "--missing"], cwd=git.path, input=listed, stdout=subprocess.PIPE, text=True, check=True
    )
    pushed_commit(git, tree.stdout.strip())
    pack, entries = b"PACK" + struct.pack(">LL", 2, len(objects)), []
    for name, content in objects:
        entries.append((RawObjectID(name), len(pack), 0))
        pack += content
    checksum = hashlib.sha1(pack).digest()
    folder = git.path / ".git/objects/pack"
    (folder / "pack-1.pack").write_bytes(pack + checksum)  # from now on git itself is not to read it
    with (folder / "pack-1.idx").open("wb") as index:
        write_pack_index(index, sorted(entries), checksum, version=2)
    assert "environment.yml is too large" in resolve(git.path, REUSE="1")


PARTS = each(
    r"""# | " | ' | \ | [ | ( | a | a. | a/ | - | =|a= | a: | a, | c( | "a", | # | -r | - a |- |~ |~= |/ |// |../ |://""",
    r"""https:// | @ | ; |; | && |> | 2>&1 |$ |`| name | Add |copy |-- |<< |name: |file: |A=b |A='b' |pip install """,
)
PARTS += [
    " ",
    "\n",
    "\t",
    "\\\n",
    "\n\n ",
    "\u00e9",
    "pip install a\n",
    "pip install \\\n",
    "library(a)\n",
    "A=b pip install a;",
]


@pytest.mark.parametrize("pattern", [pattern for pattern, _ in _READERS])
def test_a_file_of_the_build_is_read_in_time_that_grows_with_its_length(pattern: str) -> None:
    reader = dict(_READERS)[pattern]
    for length in (5_000, 50_000):
        began = time.process_time()
        for part in PARTS:
            for begin in ("", "install.packages(", "dependencies:\n- ", "pip install ", "a @ ", "[x]\n", "A=b "):
                with suppress(_Broad):
                    _words(reader(begin + part * (length // len(part)) + "!"))
        assert time.process_time() - began < len(PARTS) * 7 * 0.1, length  # about 3 ms each


def test_a_file_is_read_up_to_the_limit_and_not_beyond(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 100)
    assert read_file(path, 100) == b"x" * 100
    for wrong in (path, tmp_path, tmp_path / "none", Path("/dev/zero")):
        with pytest.raises(OSError, match=r"larger than 99 bytes|no regular file|No such file|Is a directory"):
            read_file(wrong, 99)


def test_merges_and_aliases_of_the_usual_kind_are_understood() -> None:
    text = "base: &b {a: 1, c: [x, y]}\nmore: &m {d: 4}\nx: {<<: [*b, *m], a: 2}\ny: {<<: *b}\nz: *b"
    read = load_yaml(text)
    assert read["x"] == {"a": "2", "c": ["x", "y"], "d": "4"}
    assert read["y"] == read["z"] == {"a": "1", "c": ["x", "y"]}


def test_nothing_found_is_said_in_few_words_whatever_the_remotes_are(git: Git) -> None:
    git("config", "remote.origin.url", "/srv/repo")
    with (git.path / ".git" / "config").open("a") as config:
        config.write("".join(f'[remote "r{number}"]\n url = /srv/{number}\n' for number in range(2_000)))
    with pytest.raises(UsageError) as caught:
        resolve_target(environ={}, directory=git.path)
    assert len(str(caught.value)) < 2000
