"""Which commit's image is used again, on real repositories: git makes them, and git says what is in them."""

import json
import os
import random
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinder import RepoSpec
from clinder.target.checkout import Checkout
from clinder.target.ci import Base
from clinder.target.environment import find_environment
from clinder.target.target import resolve_target

ENVIRONMENT = {"environment.yml": "dependencies:\n- python=3.12\n"}
FULL_HISTORY = "fetch-depth: 0"
ME = {f"GIT_{who}_{what}": "me@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
NOBODYS = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0"}
GIT = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")} | ME | NOBODYS


def each(*texts: str) -> list[str]:
    """Texts, several to a line."""
    return [one for text in texts for one in text.split(" | ")]


class Repository:
    """A repository that git keeps, and its checkout."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(exist_ok=True)
        self.git("init", "--quiet", "--initial-branch=main")
        self._prose = 0

    def git(self, *words: str, stdin: bytes | None = None) -> str:
        done = subprocess.run(["git", *words], cwd=self.path, env=GIT, input=stdin, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.decode("utf-8", "surrogateescape").strip()

    def commit(self, files: Mapping[str, str | None] = {}) -> str:
        """Write files, delete those without a text, commit, and return the commit."""
        for name, text in files.items():
            path = self.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True) if text is None else path.write_bytes(text.encode())
        self.git("add", "--all", "--force")
        self.git("commit", "--quiet", "--allow-empty", "--message", "a change")
        return self.git("rev-parse", "HEAD")

    def prose(self) -> str:
        self._prose += 1
        return self.commit({"index.md": f"Prose {self._prose}", f"pages/{self._prose}.md": "More"})

    def merge(self, branch: str, *words: str, files: Mapping[str, str | None] = {}) -> str:
        self.git("merge", "--quiet", "--no-ff", "--no-commit", *words, branch)
        return self.commit(files)

    def clone(self, name: str, *words: str) -> Path:
        self.git("config", "uploadpack.allowFilter", "true")
        path = self.path.parent / name
        self.git("clone", "--quiet", *words, self.path.as_uri(), str(path))
        return path


@pytest.fixture
def repo(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "repo")


@contextmanager
def checkout(path: Path) -> Iterator[Checkout]:
    found = Checkout.around(path)
    assert found
    try:
        yield found
    finally:
        found.close()


def reuse(path: Path, commit: str, base: Base | None = None) -> tuple[RepoSpec, str]:
    """What to launch for a commit of me/repo, and the line that says why."""
    with checkout(path) as found:
        chosen, line = find_environment(commit, found)
        if chosen and base and found.has_in(base.revisions, chosen):
            return RepoSpec.parse(base.repo, chosen), line
        return RepoSpec("me/repo", chosen or commit), line


def reused(repo: Repository, commit: str) -> str:
    """The commit whose image is reused for another one: it must be said, and name both."""
    spec, why = reuse(repo.path, commit)
    assert why.startswith(f"reusing the image of {spec.ref[:10]}, the newest commit that changed the environment ("), (
        why
    )
    assert why.endswith(f"), instead of building {commit[:10]}")
    assert spec.repo == "me/repo"
    return spec.ref


def refused(path: Path, commit: str) -> str:
    """Why no image is reused: the very commit is launched."""
    spec, why = reuse(path, commit)
    assert spec == RepoSpec("me/repo", commit), why
    assert why.startswith("no image is reused: ")
    return why.removeprefix("no image is reused: ")


# One line of history


@pytest.mark.parametrize("commits", [1, 2, 7])
def test_commits_of_prose_reuse_the_image_of_the_last_that_changed_the_environment(
    repo: Repository, commits: int
) -> None:
    repo.commit(ENVIRONMENT)
    repo.prose()
    changed = repo.commit({"environment.yml": "dependencies:\n- python=3.13\n"})
    prose = [repo.prose() for _ in range(commits)]
    assert [reused(repo, commit) for commit in prose] == [changed] * commits


@pytest.mark.parametrize("first", [True, False], ids=["first", "later"])
def test_a_commit_that_changed_the_environment_is_launched_itself(repo: Repository, first: bool) -> None:
    if not first:
        repo.prose()
    changed = repo.commit({**ENVIRONMENT, "index.md": "and prose"})
    assert refused(repo.path, changed) == f"{changed[:10]} itself changed the environment (environment.yml)"


def test_files_that_change_and_go_back_are_a_change_each_time(repo: Repository) -> None:
    repo.commit(ENVIRONMENT)
    repo.commit({"environment.yml": "dependencies: []\n"})
    back = repo.commit(ENVIRONMENT)
    assert reused(repo, repo.prose()) == back


def test_a_mode_is_part_of_the_environment(repo: Repository) -> None:
    repo.commit({"postBuild": "echo hello\n"})  # without this bit repo2docker can't run it
    repo.git("update-index", "--chmod=+x", "postBuild")
    repo.git("commit", "--quiet", "--message", "chmod")
    changed = repo.git("rev-parse", "HEAD")
    repo.git("checkout", "--quiet", "--force")
    assert reused(repo, repo.prose()) == changed


def test_the_files_that_changed_are_named(repo: Repository) -> None:
    repo.commit(ENVIRONMENT)
    repo.commit({"apt.txt": "cowsay\n", "environment.yml": "dependencies: []\n", "data.csv": "1"})
    assert "(apt.txt, environment.yml)" in reuse(repo.path, repo.prose())[1]


@pytest.mark.parametrize(
    "name",
    each(
        "environment.yml | environment.yaml | Pipfile | Pipfile.lock | requirements.txt | requirements3.txt",
        "pyproject.toml | runtime.txt | apt.txt | install.R | default.nix | postBuild | start | REQUIRE",
        "Project.toml | JuliaProject.toml | Manifest.toml | JuliaManifest.toml | Manifest-v1.12.toml",
    ),
)
@pytest.mark.parametrize("directory", ["", "binder/", ".binder/"])
def test_each_file_that_repo2docker_reads_defines_the_environment(repo: Repository, directory: str, name: str) -> None:
    kept = {f"{directory}runtime.txt": "python-3.12"}
    repo.commit(kept)
    changed = repo.commit({**kept, f"{directory}{name}": "# changed"})
    assert reused(repo, repo.prose()) == changed


def test_files_of_such_names_elsewhere_define_nothing(repo: Repository) -> None:
    defined = repo.commit(ENVIRONMENT)
    repo.commit({"docs/environment.yml": "other", "docs/binder/apt.txt": "cowsay", "setup.cfg": "", "Makefile": ""})
    assert reused(repo, repo.prose()) == defined


# binder/, .binder/ or the root


@pytest.mark.parametrize("directory", ["binder", ".binder"])
def test_a_directory_for_binder_is_chosen_over_the_root(repo: Repository, directory: str) -> None:
    defined = repo.commit({f"{directory}/environment.yml": "dependencies: []\n"})
    repo.commit(
        {**ENVIRONMENT, "setup.py": "", "Dockerfile": "FROM x", "pyproject.toml": "[build-system]\n[project]\n"}
    )
    assert reused(repo, repo.prose()) == defined


@pytest.mark.parametrize("directory", ["binder", ".binder"])
def test_the_commit_that_adds_a_directory_for_binder_changed_the_environment(repo: Repository, directory: str) -> None:
    repo.commit(ENVIRONMENT)
    added = repo.commit({f"{directory}/{name}": text for name, text in ENVIRONMENT.items()})
    assert reused(repo, repo.prose()) == added


def test_two_directories_for_binder_are_none(repo: Repository) -> None:
    repo.commit(
        {f"{directory}/{name}": text for name, text in ENVIRONMENT.items() for directory in ("binder", ".binder")}
    )
    assert refused(repo.path, repo.prose()) == ".binder and binder can't be followed"


def test_a_file_called_binder_is_no_directory(repo: Repository) -> None:
    repo.commit({**ENVIRONMENT, "binder": "a file"})
    defined = repo.commit({"apt.txt": "cowsay"})
    repo.commit({"binder": "another"})
    assert reused(repo, repo.prose()) == defined


@pytest.mark.parametrize("name", ["helper.sh", "postBuild.d/10-more", "b\u00e9ta \u6f22.txt", "a\nb", "README.md"])
def test_all_files_in_binder_are_part_of_the_environment(repo: Repository, name: str) -> None:
    repo.commit({"binder/postBuild": "bash binder/helper.sh\n", f"binder/{name}": "1"})
    changed = repo.commit({f"binder/{name}": "2"})
    assert reused(repo, repo.prose()) == changed


def test_file_names_that_are_no_text_are_told_apart(repo: Repository) -> None:
    def tree(first: str) -> str:
        blobs = [
            repo.git("hash-object", "-w", "--stdin", stdin=text.encode())
            for text in (first, "same", "dependencies: []")
        ]
        names = (b"\xfe", b"\xff", b"environment.yml")
        lines = b"".join(b"100644 blob %s\t%s\0" % (b.encode(), n) for b, n in zip(blobs, names, strict=True))
        binder = repo.git("mktree", "-z", stdin=lines)
        return repo.git("mktree", stdin=f"040000 tree {binder}\tbinder\n".encode())

    first = repo.git("commit-tree", "-m", "1", tree("one"))
    changed = repo.git("commit-tree", "-m", "2", "-p", first, tree("two"))
    prose = repo.git("commit-tree", "-m", "3", "-p", changed, tree("two"))
    assert reused(repo, prose) == changed


# Merges and branches


@pytest.fixture
def branches(repo: Repository) -> Repository:
    """A history of two branches, `main` and `other`, from one environment."""
    repo.commit(ENVIRONMENT)
    repo.prose()
    repo.git("branch", "other")
    return repo


def on_other(repo: Repository, files: Mapping[str, str | None]) -> str:
    repo.git("checkout", "--quiet", "other")
    made = repo.commit(files)
    repo.git("checkout", "--quiet", "main")
    return made


def test_a_merge_that_took_the_environment_of_its_first_parent_changed_nothing(branches: Repository) -> None:
    changed = branches.commit({"apt.txt": "cowsay"})
    on_other(branches, {"other.md": "prose"})
    assert reused(branches, branches.merge("other")) == changed
    assert reused(branches, branches.prose()) == changed


def test_a_merge_that_took_the_environment_of_its_second_parent_changed_nothing(branches: Repository) -> None:
    branches.prose()
    changed = on_other(branches, {"apt.txt": "cowsay"})
    assert reused(branches, branches.merge("other")) == changed


@pytest.mark.parametrize(("strategy", "chosen"), [("ours", 0), ("theirs", 1)])
def test_where_both_sides_changed_a_file_it_is_that_of_the_side_that_won(
    branches: Repository, strategy: str, chosen: int
) -> None:
    sides = [branches.commit({"apt.txt": "cowsay"}), on_other(branches, {"apt.txt": "fortune"})]
    assert reused(branches, branches.merge("other", "-X", strategy)) == sides[chosen]


def test_a_merge_of_an_environment_from_each_side_made_a_new_one(branches: Repository) -> None:
    branches.commit({"apt.txt": "cowsay"})
    on_other(branches, {"runtime.txt": "python-3.12"})
    merge = branches.merge("other")
    assert "itself changed the environment (apt.txt, runtime.txt)" in refused(branches.path, merge)
    assert reused(branches, branches.prose()) == merge


def test_a_merge_that_changed_the_environment_itself_made_a_new_one(branches: Repository) -> None:
    branches.prose()
    on_other(branches, {"other.md": "prose"})
    merge = branches.merge("other", files={"apt.txt": "cowsay"})
    assert reused(branches, branches.prose()) == merge


def test_each_branch_reuses_what_it_has(branches: Repository) -> None:
    mine, its = branches.commit({"apt.txt": "cowsay"}), on_other(branches, {"apt.txt": "fortune"})
    assert reused(branches, branches.prose()) == mine
    branches.git("checkout", "--quiet", "other")
    assert reused(branches, branches.prose()) == its


def test_a_commit_is_treated_alike_whatever_branch_leads_to_it(branches: Repository) -> None:
    changed = branches.commit({"apt.txt": "cowsay"})
    prose = branches.prose()
    branches.git("checkout", "--quiet", "-b", "copy")
    branches.git("branch", "--quiet", "--delete", "--force", "main")
    branches.prose()
    assert reused(branches, prose) == changed


def test_a_merge_of_many_branches_reuses_the_one_whose_environment_it_has(branches: Repository) -> None:
    branches.prose()
    changed = on_other(branches, {"apt.txt": "cowsay"})
    tree = branches.git("rev-parse", f"{changed}^{{tree}}")
    parents = ["main~1", "main", "other"]
    merge = branches.git("commit-tree", "-m", "octopus", *(w for p in parents for w in ("-p", p)), tree)
    assert reused(branches, merge) == changed


# Pull requests and forks


@pytest.fixture
def request_head(repo: Repository) -> tuple[Repository, Base, str]:
    """A pull request of prose as CI checks it out, what it is to be merged into, and the commit with the image."""
    repo.prose()
    defined = repo.commit(ENVIRONMENT)
    base = repo.prose()
    repo.git("update-ref", "refs/remotes/origin/main", base)
    repo.git("checkout", "--quiet", "--detach")
    repo.prose()
    return repo, Base("https://github.com/org/repo", (base, "refs/remotes/origin/main")), defined


def test_a_pull_request_of_prose_reuses_the_image_of_the_base_repository(
    request_head: tuple[Repository, Base, str],
) -> None:
    repo, base, defined = request_head
    assert reuse(repo.path, repo.prose(), base)[0] == RepoSpec("org/repo", defined)


def test_a_pull_request_that_changed_the_environment_reuses_its_own_image(
    request_head: tuple[Repository, Base, str],
) -> None:
    repo, base, _ = request_head
    changed = repo.commit({"apt.txt": "cowsay"})
    assert reuse(repo.path, changed, base)[0] == RepoSpec("me/repo", changed)
    assert reuse(repo.path, repo.prose(), base)[0] == RepoSpec("me/repo", changed)


@pytest.mark.parametrize("known", [(0,), (1,), ()], ids=["by its id", "by its branch", "not at all"])
def test_the_base_is_known_by_its_id_or_its_branch(
    request_head: tuple[Repository, Base, str], known: tuple[int, ...]
) -> None:
    repo, base, defined = request_head
    others = ("", "0" * 40, "refs/remotes/origin/None", "refs/remotes/origin/a..b")
    base = base._replace(revisions=(*others, *(base.revisions[n] for n in known)))
    assert reuse(repo.path, repo.prose(), base)[0] == RepoSpec("org/repo" if known else "me/repo", defined)


def test_a_base_that_has_moved_on_still_has_the_image(request_head: tuple[Repository, Base, str]) -> None:
    repo, base, defined = request_head
    head = repo.prose()
    repo.git("checkout", "--quiet", "--detach", "refs/remotes/origin/main")
    repo.git("update-ref", "refs/remotes/origin/main", repo.commit({"apt.txt": "cowsay"}))
    base = base._replace(revisions=base.revisions[1:])
    assert reuse(repo.path, head, base)[0] == RepoSpec("org/repo", defined)


def test_a_base_that_was_merged_into_the_request_is_the_base(request_head: tuple[Repository, Base, str]) -> None:
    repo, base, _ = request_head
    head = repo.prose()
    repo.git("checkout", "--quiet", "-b", "moved", "refs/remotes/origin/main")
    changed = repo.commit({"apt.txt": "cowsay"})
    repo.git("update-ref", "refs/remotes/origin/main", changed)
    repo.git("checkout", "--quiet", "--detach", head)
    merge = repo.merge("moved")
    assert reuse(repo.path, merge, base._replace(revisions=base.revisions[1:]))[0] == RepoSpec("org/repo", changed)
    assert reuse(repo.path, merge, base._replace(revisions=base.revisions[:1]))[0] == RepoSpec("me/repo", changed)


@pytest.mark.parametrize("depth", range(1, 7))
def test_a_shallow_clone_of_a_pull_request_is_never_wrong(
    request_head: tuple[Repository, Base, str], depth: int
) -> None:
    repo, base, defined = request_head
    head = repo.prose()
    repo.git("branch", "--force", "main", head)
    spec, why = reuse(repo.clone("clone", f"--depth={depth}"), head, base)
    if depth < 5:
        assert spec == RepoSpec("me/repo", head)
        assert FULL_HISTORY in why
    else:
        assert spec == RepoSpec("org/repo", defined)


def test_github_actions_is_followed_from_its_variables_to_the_base_repository(
    request_head: tuple[Repository, Base, str], tmp_path: Path
) -> None:
    repo, base, defined = request_head
    head = repo.prose()
    event = {"head": {"sha": head, "repo": {"full_name": "me/repo"}}, "base": {"sha": base.revisions[0], "ref": "main"}}
    (tmp_path / "event.json").write_text(json.dumps({"pull_request": {**event, "number": 5}}))
    environ = {"GITHUB_ACTIONS": "true", "GITHUB_REPOSITORY": "org/repo", "GITHUB_SHA": "f" * 40}
    environ |= {"GITHUB_EVENT_NAME": "pull_request", "GITHUB_EVENT_PATH": str(tmp_path / "event.json")}
    target = resolve_target(reuse_image=True, environ=environ, directory=repo.path)
    assert (target.spec, target.instead_of) == (RepoSpec("org/repo", defined), RepoSpec("me/repo", head))
    assert any(defined[:10] in line and head[:10] in line for line in target.lines)
    assert resolve_target(environ=environ, directory=repo.path).spec == RepoSpec("me/repo", head)


# Deleted and renamed


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({**ENVIRONMENT, "apt.txt": "cowsay"}, {"apt.txt": None}),
        ({"environment.yml": "dependencies: []"}, {"environment.yml": None, "environment.yaml": "dependencies: []"}),
        (
            {"environment.yml": "dependencies: []"},
            {"environment.yml": None, "binder/environment.yml": "dependencies: []"},
        ),
        ({"binder/apt.txt": "a"}, {"binder/apt.txt": None, ".binder/apt.txt": "a"}),
        ({"binder/apt.txt": "a"}, {"binder/apt.txt": None, "apt.txt": "a"}),
        ({"binder/apt.txt": "a"}, {"binder/apt.txt": None, "binder/sub/apt.txt": "a"}),
        ({**ENVIRONMENT, "binder/apt.txt": "a"}, {"binder/apt.txt": None}),
    ],
)
def test_an_environment_whose_files_were_deleted_or_renamed_is_not_reused(
    repo: Repository, before: dict[str, str | None], after: dict[str, str | None]
) -> None:
    repo.commit(before)
    [gone] = [name for name, text in after.items() if text is None]
    changed = repo.commit(after)
    said = f"{changed[:10]} deleted or renamed {gone}"
    assert [refused(repo.path, commit) for commit in (changed, repo.prose(), repo.prose())] == [said] * 3


def test_the_next_change_of_the_environment_is_reused_again(repo: Repository) -> None:
    repo.commit({**ENVIRONMENT, "apt.txt": "cowsay"})
    repo.commit({"apt.txt": None})
    changed = repo.commit({"environment.yml": "dependencies: []"})
    assert reused(repo, repo.prose()) == changed


def test_moving_the_environment_to_binder_is_a_change_when_the_old_files_stay(repo: Repository) -> None:
    repo.commit(ENVIRONMENT)
    moved = repo.commit({"binder/environment.yml": ENVIRONMENT["environment.yml"]})
    repo.commit({"environment.yml": None})  # nobody reads it any more
    assert reused(repo, repo.prose()) == moved


def test_a_file_that_only_one_side_of_a_merge_had_deleted_is_named(branches: Repository) -> None:
    branches.commit({"apt.txt": "cowsay"})
    on_other(branches, {"runtime.txt": "python-3.12"})
    merge = branches.merge("other", files={"apt.txt": None, "environment.yml": "dependencies: []"})
    assert refused(branches.path, branches.prose()) == f"{merge[:10]} deleted or renamed apt.txt"


# What installs more of the repository than those files

LOCAL = each(
    ". | ./ | .. | ./pkg | ../pkg | pkg/ | sub/pkg | /abs/pkg | .[dev] | ./pkg[dev]>=1 | ${HERE}/pkg",
    "-e . | -e. | -e ./pkg | -e pkg | -e pkg[dev] | --editable . | --editable=./pkg |   -e .  # here | -e \\\n  .",
    "# c \\\n-e . | numpy\n-e .\n | numpy\r\n-e .\r\n | \ufeff-e . | ./pkg --config-settings a=b",
    "./pkg ; python_version > '3' | -r other.txt | -rother.txt | --requirement other.txt | --requirement=other.txt",
    "-c pins.txt | -cpins.txt | --constraint pins.txt | --constraint=pins.txt",
    "file:pkg | file:./pkg | file:///srv/pkg | pkg @ file:pkg | pkg@file:pkg | pkg @ ./pkg | -e file:pkg",
    "-e git+file:///srv/pkg | git+file:pkg | git://../pkg | --index-url file:///srv | --extra-index-url=./simple",
    "wheels/x.whl | x-1.0-py3-none-any.whl | x-1.0.tar.gz | x.zip | x.tar.bz2 | x.whl[dev]",
    "file\\\n:pkg | -f wheels/ | -f./wheels | --find-links ./wheels | --find-links=./wheels | a\0b",
)
REMOTE = each(
    " | # -e . | numpy | numpy==2.0 # -e . | numpy>=2,<3 | numpy ~= 2.0 | a.b-c_d | tar",
    "dask[array,distributed]>=2024 | x ; python_version < '3.12' | x; sys_platform == 'a/b'",
    "numpy==2.0 --hash=sha256:aa --hash=sha256:bb",
    "numpy==2.0 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\nscipy | https://x.org/p.zip",
    "git+https://github.com/org/pkg | git+https://github.com/org/pkg.git@v1.0#egg=pkg | pkg @ https://x.org/p.whl",
    "https://x.org/p-1.0.tar.gz#sha256=a | git+ssh://git@github.com/org/pkg.git | -e git+https://github.com/org/pkg#egg=pkg",
    "pkg @ git+https://github.com/org/pkg@main#subdirectory=sub | --pre | --require-hashes | --no-binary :all:",
    "--index-url https://x.org/simple | -i https://x.org/simple | --extra-index-url=https://x.org/ | --only-binary=x",
    "--trusted-host x.org | -f https://x.org/wheels/ | --find-links=https://x.org/wheels/ | --no-index",
)


class Case(NamedTuple):
    """Files, and a word of why their image is not reused; none when it is."""

    files: Mapping[str, str]
    why: str


def case(why: str, **files: str) -> Case:
    return Case({name.replace("__", "/").replace("_", "."): text for name, text in files.items()}, why)


PIP = "- pip:\n  - "


def requirement_cases() -> Iterator[tuple[str, Case]]:
    refusal = "includes another file|installs something of the repository|can't be read"
    for line, why in [*((line, refusal) for line in LOCAL), *((line, "") for line in REMOTE)]:
        for name in ("requirements.txt", "requirements3.txt", "binder/requirements.txt"):
            yield f"{name}: {line!r}", Case({name: line, "other.txt": "", "pkg/setup.py": ""}, why)
        if not re.search("[\0\ufeff]|# c", line):
            text = f"dependencies:\n- python\n{PIP}{json.dumps(line)}\n"
            yield f"pip in environment.yml: {line!r}", Case({"environment.yml": text}, why)


USED = each(
    "pip install . | pip install ./ | pip install -e. | pip install '.[dev]' | pip install -e ./pkg | cd .. && x",
    'pip install "$REPO_DIR" | pip install ${REPO_DIR} | pip install $PWD | pip install "$(pwd)" | cp -r ~ /x',
    "x ../y | cp ~/data/x /tmp | cp $HOME/data/x /tmp | cp ${PWD}/data/x /tmp | cat /home/jovyan/data/x | [ -f data ]",
    "python helper.py | python -m helper | python -c 'import pkg.sub' | python -c 'from helper import x' | npm ci",
    'make | make install | for f in *.md; do x; done | x "$(dirname $0)"/../data | x -fdata | x --y=data',
    'x {data,pkg} | curl -d @data/x https://x.org | source ./data/env.sh | file.path("data", "x") | source("data/x.R")',
)
UNUSED = each(
    "#!/bin/bash\n# uses data\n | pip install numpy | jupyter labextension install @jupyter-widgets/x | x /data/y",
    'mkdir -p ~/.jupyter && cp binder/config.py ~/.jupyter/ | export PATH=$HOME/.local/bin:$PATH | exec "$@"',
    "install.packages('dplyr') | remotes::install_github('org/thing') | git clone https://github.com/org/thing",
    "{ pkgs ? import <nixpkgs> {} }: pkgs.mkShell { buildInputs = [ pkgs.python3 ]; } | x=${y:-z} | echo database",
)


def script_cases() -> Iterator[tuple[str, Case]]:
    names = each("pkg/__init__.py | data/x | helper.py | Makefile | package.json | index.md")
    for name in each(
        "postBuild | start | install.R | default.nix | binder/postBuild | binder/start | binder/install.R"
    ):
        for text, why in [*((t, "may use the rest") for t in USED), *((t, "") for t in UNUSED)]:
            yield f"{name}: {text}", Case({name: text, **dict.fromkeys(names, "")}, why)


CASES: dict[str, Case] = {
    "Dockerfile": case("may copy", Dockerfile="FROM x"),
    "Dockerfile in binder": case("may copy", binder__Dockerfile="FROM x"),
    "setup.py": case("installs the repository", setup_py="", requirements_txt="numpy"),
    "setup.py and nothing else": case("installs the repository", setup_py=""),
    "setup.py beside binder": case("", setup_py="", binder__requirements_txt="numpy"),
    "setup.py in binder": case("", binder__setup_py="", binder__requirements_txt="numpy"),
    "DESCRIPTION": case("installs the repository", DESCRIPTION="Package: x"),
    "DESCRIPTION beside binder": case("", DESCRIPTION="Package: x", binder__install_R='install.packages("x")'),
    "pyproject of a package": case("installs", pyproject_toml="[build-system]\nx = 1\n[project]\nname = 'x'\n"),
    "pyproject, spaced": case("installs", pyproject_toml='  [ project ]\n\n["build-system"]\n'),
    "pyproject, dotted": case("installs", pyproject_toml="project.name = 'x'\n[build-system]\n"),
    "pyproject, inline": case("installs", pyproject_toml="build-system = {}\nproject = {}\n"),
    "pyproject, by a table in it": case("installs", pyproject_toml="[project.urls]\n[build-system]\n"),
    "pyproject without a build": case("", pyproject_toml="[project]\nrequires-python = '>=3.12'\n"),
    "pyproject without a project": case("", pyproject_toml="[build-system]\n[tool.poetry]\n"),
    "pyproject of tools": case("", pyproject_toml="[tool.ruff]\n"),
    "pyproject beside binder": case("", pyproject_toml="[project]\n[build-system]\n", binder__apt_txt="x"),
    "Pipfile": case("", Pipfile='[packages]\nnumpy = "*"\nx = {git = "https://github.com/org/x", ref = "main"}\n'),
    "Pipfile, path": case("names a path", Pipfile='[packages]\nx = {path = ".", editable = true}\n'),
    "Pipfile, quoted path": case("names a path", Pipfile='[packages.x]\n"path" = "pkg"\n'),
    "Pipfile, file": case("names a path", Pipfile='[packages]\nx = {file = "x.whl"}\n'),
    "Pipfile.lock": case("", Pipfile_lock='{"default": {"numpy": {"version": "==2.0"}}}'),
    "Pipfile.lock, path": case("names a path", Pipfile_lock='{"default": {"x": {"editable": true, "path": "."}}}'),
    "Project.toml": case("", Project_toml='[deps]\nDataFrames = "a93c"\n[compat]\njulia = "1.10"\n'),
    "Project.toml, a package": case("itself a package", Project_toml='name = "X"\nuuid = "1"\n'),
    "Project.toml, a source": case("names a path", Project_toml='[deps]\nX = "1"\n[sources]\nX = {path = "X"}\n'),
    "Manifest.toml": case("", Manifest_toml='[[deps.X]]\nuuid = "1"\nversion = "1.0"\n'),
    "Manifest.toml, path": case("names a path", Manifest_toml='[[deps.X]]\npath = "../X"\nuuid = "1"\n'),
    "Manifest of a version, path": Case({"Manifest-v1.12.toml": '[[deps.X]]\npath = "X"\n'}, "names a path"),
    "environment.yml, empty": case("", environment_yml=""),
    "environment.yml, no mapping": case("can't be read", environment_yml="- a\n"),
    "environment.yml, no YAML": case("can't be read", environment_yml="a: [\n"),
    "environment.yml, no date": case("can't be read", environment_yml="name: 2001-99-99\n"),
    "environment.yml, odd": case("can't be read", environment_yml="dependencies: 5\n"),
    "environment.yml, without": case("", environment_yml="name: x\ndependencies:\n"),
    "environment.yml, pip of none": case("", environment_yml="dependencies:\n- pip\n- pip:\n"),
    "environment.yml, pip as text": case("includes", environment_yml="dependencies:\n- pip: -r other.txt\n"),
    "environment.yml, two pips": case("installs", environment_yml=f"dependencies:\n{PIP}a\n{PIP}-e .\n- b\n"),
    "environment.yml, conda": case("", environment_yml="dependencies:\n- conda-forge::numpy=2.*\n- python >=3.12\n"),
    "environment.yml, a file": case("installs", environment_yml="dependencies:\n- ./x.conda\n"),
    "environment.yml, an archive": case("installs", environment_yml="dependencies:\n- pkgs/x.tar.bz2\n"),
    "environment.yml, a channel": case("installs", environment_yml="channels: [./channel]\ndependencies: [x]\n"),
    "a helper": case("may use the rest", binder__postBuild="bash binder/go.sh", binder__go_sh="pip install ."),
    "a helper's": case("use", binder__start="binder/one", binder__one="binder/two", binder__two="cat x.md", x_md=""),
    "a pattern of helpers": case("may use", binder__postBuild="run binder/*.sh", binder__go_sh="pip install ."),
    "a directory of helpers": case("may use", binder__postBuild="run-parts binder/d", binder__d__go="pip install ."),
    "a helper for itself": case("", binder__postBuild="bash binder/go.sh", binder__go_sh="pip install numpy"),
    "a pattern elsewhere": case("", binder__environment_yml="dependencies: ['x=2.*']", binder__go="pip install ."),
    "a file that nobody uses": case("", binder__postBuild="echo", binder__go="pip install ."),
    "JuliaProject.toml, a package": case("makes the repository", JuliaProject_toml='name = "X"\n'),
    "install.R, where it is": case("may use the rest", install_R="install.packages('x', lib=getwd())\n"),
    "another text": case("", binder__postBuild="echo *.x", binder__README_rst="See data/x", data__x=""),
    "a text": case("", binder__postBuild="echo *.x", binder__README_md="See data/x", data__x=""),
    "a name of these files": case("", postBuild="pip install -r requirements.txt", requirements_txt="numpy"),
    "a name in both": case("use", binder__apt_txt="", apt_txt="", binder__postBuild="install $(cat apt.txt)"),
    **dict(requirement_cases()),
    **dict(script_cases()),
}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    return Repository(tmp_path_factory.mktemp("shared") / "repo")


def imported(repo: Repository, trees: list[tuple[list[int], Mapping[str, str], int]]) -> list[str]:
    """Let git take over many commits at once: each the numbers of its parents, all its files, a date."""
    stream = []
    for number, (parents, files, date) in enumerate(trees, 1):
        stream += [f"commit refs/heads/n{number}", f"mark :{number}", f"committer me <me@example.org> {date} +0000"]
        stream += [f"data {len(str(number))}", str(number)]  # no two commits are the same
        stream += [f"{'merge' if n else 'from'} :{parent + 1}" for n, parent in enumerate(parents)] + ["deleteall"]
        for name, text in files.items():
            stream += [f"M 100644 inline {name}", f"data {len(text.encode())}", text]
        stream.append("")
    repo.git("fast-import", "--quiet", "--force", stdin="\n".join(["feature done", *stream, "done", ""]).encode())
    names = [f"refs/heads/n{number}" for number in range(1, len(trees) + 1)]
    return repo.git("rev-parse", *names).split()


@pytest.fixture(scope="module")
def commits(shared: Repository) -> dict[str, tuple[str, str]]:
    """For every case the commit that made its environment, and one of prose after it."""
    trees: list[tuple[list[int], Mapping[str, str], int]] = []
    for files, _ in CASES.values():
        trees += [([], files, 10**9), ([len(trees)], {**files, "prose": "more"}, 10**9)]
    made = imported(shared, trees)
    return dict(zip(CASES, zip(made[::2], made[1::2], strict=True), strict=True))


@pytest.mark.parametrize("name", CASES)
def test_an_image_is_reused_unless_it_holds_more_of_the_repository(
    shared: Repository, commits: dict[str, tuple[str, str]], name: str
) -> None:
    defined, prose = commits[name]
    if CASES[name].why:
        assert re.search(CASES[name].why, refused(shared.path, prose))
    else:
        assert reused(shared, prose) == defined


READERS = {
    "make": "Makefile",
    "npm ci": "package.json",
    "poetry install": "pyproject.toml",
    "uv sync": "uv.toml",
    "pixi install": "pixi.toml",
    "pipenv install": "Pipfile.lock",
    "mamba env update": "environment.yml",
    "julia -e 1": "Project.toml",
    "Rscript -e 1": "renv.lock",
    "R -e 1": ".Rprofile",
    "Rscript -e devtools::install_deps()": "DESCRIPTION",
    "git submodule update": ".gitmodules",
    "git lfs pull": ".gitattributes",
    "dvc pull": "dvc.yaml",
    "nix-shell": "shell.nix",
    "tox": "tox.ini",
    "cargo build": "Cargo.toml",
}


@pytest.mark.parametrize("command", READERS)
def test_a_command_that_reads_a_file_without_naming_it_uses_that(repo: Repository, command: str) -> None:
    repo.commit({"binder/postBuild": f"#!/bin/bash\n{command}\n"})
    with_none = repo.prose()
    with_that = repo.commit({READERS[command]: ""})
    assert "reused" not in reused(repo, with_none)
    assert READERS[command] in refused(repo.path, with_that)


@pytest.mark.parametrize("then", [{"extra.txt": "numpy"}, {}], ids=["only then", "never"])
def test_what_a_script_could_use_then_counts_as_what_it_could_use_now(repo: Repository, then: dict[str, str]) -> None:
    repo.commit({"postBuild": "[ ! -f extra.txt ] || pip install -r extra.txt\n", **then})
    defined = repo.git("rev-parse", "HEAD")
    prose = repo.commit({"index.md": "", **dict.fromkeys(then)})
    if then:
        assert "(extra.txt)" in refused(repo.path, prose)
    else:
        assert reused(repo, prose) == defined


@pytest.mark.parametrize("name", ["environment.yml", "postBuild", "binder/helper", "binder"])
def test_a_link_is_followed_nowhere(repo: Repository, name: str) -> None:
    path = repo.path / name
    path.parent.mkdir(exist_ok=True)
    path.symlink_to("elsewhere")
    repo.commit({"elsewhere": "1"} if "/" in name or name == "binder" else {"elsewhere": "1", "apt.txt": "x"})
    assert re.match(f"{name} (is no regular file|can't be followed)", refused(repo.path, repo.prose()))


def test_a_submodule_called_binder_is_not_followed(repo: Repository) -> None:
    first = repo.commit(ENVIRONMENT)
    repo.git("update-index", "--add", "--cacheinfo", f"160000,{first},binder")
    repo.git("commit", "--quiet", "--message", "a submodule")
    assert refused(repo.path, repo.git("rev-parse", "HEAD")) == "binder can't be followed"


def test_a_directory_where_a_file_should_be_is_not_followed(repo: Repository) -> None:
    repo.commit({**ENVIRONMENT, "start/here.md": "prose"})
    assert refused(repo.path, repo.prose()) == "start is no regular file"


# What is no history


def test_a_repository_without_such_files_reuses_nothing(repo: Repository) -> None:
    repo.prose()
    assert refused(repo.path, repo.prose()) == "no file here defines an environment"


@pytest.mark.parametrize("ref", ["HEAD", "main", "v1.0", "0123456", "refs/heads/main", "A" * 40])
def test_a_ref_that_is_no_full_commit_reuses_nothing(repo: Repository, ref: str) -> None:
    repo.commit(ENVIRONMENT)
    repo.prose()
    assert f"{ref} is no full commit id" in refused(repo.path, ref)


def test_a_commit_that_is_not_in_the_checkout_reuses_nothing(repo: Repository) -> None:
    repo.commit(ENVIRONMENT)
    assert refused(repo.path, "a" * 40) == f"{'a' * 10} is not in this checkout"


@pytest.mark.parametrize("what", ["HEAD^{tree}", "HEAD:environment.yml", "tag"])
def test_an_object_that_is_no_commit_reuses_nothing(repo: Repository, what: str) -> None:
    repo.commit(ENVIRONMENT)
    repo.git("tag", "--annotate", "--message", "x", "tag")
    assert refused(repo.path, repo.git("rev-parse", what)).endswith(" is no commit")


def test_without_a_checkout_nothing_is_reused(tmp_path: Path) -> None:
    assert find_environment("a" * 40, None) == (
        None,
        "no image is reused: there is no git checkout here, whose history would tell which",
    )
    target = resolve_target(repo="me/repo", ref="a" * 40, reuse_image=True, environ={}, directory=tmp_path)
    assert (target.spec, target.instead_of) == (RepoSpec("me/repo", "a" * 40), None)


# Clones without all of the history


@pytest.mark.parametrize("depth", range(1, 9))
def test_a_shallow_clone_answers_as_the_full_one_or_asks_for_all_of_it(branches: Repository, depth: int) -> None:
    on_other(branches, {"apt.txt": "cowsay"})
    branches.prose()
    branches.merge("other")
    heads = [branches.prose() for _ in range(3)]
    clone = branches.clone("shallow", f"--depth={depth}")
    present = [head for head in heads if head in branches.git("-C", str(clone), "rev-list", "HEAD").split()]
    assert present
    for head in present:
        spec, why = reuse(clone, head)
        if depth >= 7:  # what git itself would need: all of the way to the commit and its parents
            assert spec == reuse(branches.path, head)[0]
        elif FULL_HISTORY in why:
            assert spec.ref == head
        else:
            assert spec == reuse(branches.path, head)[0] != RepoSpec("me/repo", head)
    if depth <= 4:
        assert FULL_HISTORY in refused(clone, heads[-1])


def test_the_end_of_a_shallow_history_is_no_beginning(repo: Repository) -> None:
    repo.commit(ENVIRONMENT)
    end = repo.prose()
    head = repo.prose()
    clone = repo.clone("shallow", "--depth=2")
    assert refused(clone, head).startswith(
        f"the history in this checkout ends at {end[:10]}, before the answer is known."
    )
    assert FULL_HISTORY in refused(clone, end)
    repo.git("-C", str(clone), "fetch", "--quiet", "--unshallow")
    assert reuse(clone, head)[0].ref == repo.git("rev-list", "--max-parents=0", "HEAD")


@pytest.mark.parametrize(("kind", "known"), [("blob:none", True), ("tree:0", False)])
@pytest.mark.parametrize("directory", ["", "binder/"])
def test_a_partial_clone_answers_as_the_full_one_or_says_what_it_is(
    repo: Repository, directory: str, kind: str, known: bool
) -> None:
    defined = repo.commit({f"{directory}apt.txt": "cowsay"})
    head = repo.prose()
    clone = repo.clone("partial", f"--filter={kind}")
    if known:
        assert reuse(clone, head)[0].ref == defined
    else:
        assert refused(clone, head) == "this checkout is a partial clone, without the files of earlier commits"
    bare = repo.clone("bare", f"--filter={kind}", "--no-checkout")
    assert "this checkout is a partial clone" in refused(bare, head)


@pytest.mark.parametrize("how", ["gc", "worktree", "shared", "bare"])
def test_it_does_not_matter_how_git_keeps_the_history(repo: Repository, how: str) -> None:
    repo.prose()
    defined = repo.commit({"binder/apt.txt": "cowsay"})
    head = repo.prose()
    path = repo.path.parent / how
    if how == "gc":
        repo.git("gc", "--quiet")
        repo.git("commit-graph", "write", "--reachable")
        path = repo.path
    elif how == "worktree":
        repo.git("worktree", "add", "--quiet", "--detach", str(path))
    else:
        repo.git("clone", "--quiet", f"--{how}", str(repo.path), str(path))
    assert reuse(path, head)[0].ref == defined


# Any history

NAMES = ["environment.yml", "apt.txt", "index.md", "docs/apt.txt"]
IN_BINDER = [f"{directory}/{name}" for directory in ("binder", ".binder") for name in ("apt.txt", "x/y")]
ROOT = {"environment.yml", "apt.txt"}
Tree = dict[str, str]


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[list[int], Tree, int]]:
    """Commits with any parents among the earlier ones, each a change of one of them, or none; dates in no order."""
    names = draw(st.sampled_from([NAMES, NAMES + IN_BINDER]))
    history: list[tuple[list[int], Tree, int]] = []
    for number in range(draw(st.integers(2, 9))):
        recent = st.integers(max(0, number - 3), number - 1) if number else st.nothing()
        parents = draw(st.lists(recent, min_size=1, max_size=3, unique=True)) if number else []
        tree = dict(history[draw(st.sampled_from(parents))][1]) if parents else {}
        changes = draw(st.dictionaries(st.sampled_from(names), st.sampled_from(["a", "b", None]), max_size=2))
        kept = {**tree, **{name: text for name, text in changes.items() if text}}
        history.append(
            (parents, {n: t for n, t in kept.items() if changes.get(n, t)}, draw(st.integers(10**9, 10**9 + 9)))
        )
    return history


def environment(tree: Tree) -> tuple[str, Tree] | None:
    """What repo2docker reads of all of a commit's files; None where it refuses."""
    own = {name.partition("/")[0] for name in tree} & {"binder", ".binder"}
    if len(own) > 1:
        return None
    directory = "".join(own)
    return directory, {n: t for n, t in tree.items() if (n.startswith(f"{directory}/") if own else n in ROOT)}


@given(histories())
@settings(max_examples=80)
def test_what_is_reused_is_an_ancestor_of_the_same_environment_which_it_changed_whatever_the_history(
    history: list[tuple[list[int], Tree, int]],
) -> None:
    # A value of a file is the same text in all of them, so that these are environment.yml's that can be read.
    text = {"a": "dependencies: []", "b": "dependencies: [x]"}
    with tempfile.TemporaryDirectory() as directory:
        repo = Repository(Path(directory))
        commits = imported(repo, [(p, {n: text[t] for n, t in tree.items()}, date) for p, tree, date in history])
        with checkout(repo.path) as opened:
            for number, commit in enumerate(commits):
                found, why = find_environment(commit, opened)
                chosen = found or commit
                check(history, commits, number, commits.index(chosen), why)
                if not any("binder/" in name for _, tree, _ in history for name in tree) and "deleted" not in why:
                    simplified = repo.git("log", "-1", "--format=%H", commit, "--", *sorted(ROOT))
                    assert chosen == simplified or "no file" in why


def check(history: list[tuple[list[int], Tree, int]], commits: list[str], asked: int, chosen: int, why: str) -> None:
    wanted = environment(history[asked][1])
    same = reachable(history, asked)  # by commits that all have this environment
    sources = [number for number in same if all(environment(history[p][1]) != wanted for p in history[number][0])]
    if wanted is None or not wanted[1]:
        assert chosen == asked
        assert "can't be followed" in why or "no file here defines an environment" in why
    elif gone := re.search(r"(\w+) deleted or renamed (\S+)", why):
        assert chosen == asked
        [source] = [number for number in sources if commits[number].startswith(gone[1])]
        before = [environment(history[parent][1]) for parent in history[source][0]]
        assert any(each and gone[2] in each[1] for each in before)
        assert gone[2] not in wanted[1]
    else:
        assert chosen in sources
        assert ("itself changed" in why) == (chosen == asked)
        for parent in history[chosen][0]:  # nothing that a parent's environment consisted of was taken away
            before_it = environment(history[parent][1])
            assert set(before_it[1] if before_it else ()) <= set(history[chosen][1])


def reachable(history: list[tuple[list[int], Tree, int]], start: int) -> set[int]:
    found, wanted = {start}, environment(history[start][1])
    for number in range(start, -1, -1):
        if number in found:
            found |= {p for p in history[number][0] if environment(history[p][1]) == wanted}
    return found


# As long as it may take


@pytest.mark.parametrize("directory", ["", "binder/"])
def test_five_thousand_commits_of_prose_take_seconds_at_most(repo: Repository, directory: str) -> None:
    rng = random.Random(0)
    stream = []
    for number in range(5000):
        text = f"{number}"
        stream += ["commit refs/heads/long", f"committer me <me@example.org> {10**9 + number} +0000", "data 0"]
        stream += [f"M 100644 inline {directory}apt.txt", "data 1", "x"] if not number else []
        stream += [f"M 100644 inline docs/{rng.randrange(200)}.md", f"data {len(text)}", text, ""]
    repo.git("fast-import", "--quiet", stdin="\n".join(stream).encode())
    first, *_, last = repo.git("rev-list", "--reverse", "long").split()
    began = time.monotonic()
    assert reused(repo, last) == first
    assert time.monotonic() - began < 10  # about half a second; nobody knows what else this machine does
