"""A release, rehearsed: the scripts, and the steps of release.yml that run them, on copies of this tree."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from clinder import __version__
from tests.action.conftest import executable
from tests.support.git import commit_all, git
from tests.support.runner import ROOT
from tests.support.workflows import step

SCRIPTS = ".github/scripts"
OWNER = (ROOT / ".github/owner").read_text().strip()
IMAGE = f"ghcr.io/{OWNER.lower()}/clinder@sha256:{'0123456789abcdef' * 4}"


def script(tree: Path, name: str, *words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(tree / SCRIPTS / name), *map(str, words)]
    return subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)


def test_mypy_has_nothing_to_say_about_the_scripts(tmp_path: Path) -> None:
    command = [executable("mypy"), "--strict", f"--config-file={os.devnull}", f"--cache-dir={tmp_path}"]
    scripts = sorted(map(str, (ROOT / SCRIPTS).glob("*.py")))
    done = subprocess.run([*command, *scripts], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


# The version and its notes


def prepare(tree: Path, version: str, changelog: str) -> None:
    """Do what a release begins with, in the commit to be tagged."""
    init = tree / "clinder/__init__.py"
    init.write_text(init.read_text().replace(f'"{__version__}"', f'"{version}"'))
    (tree / "CHANGELOG.md").write_text(changelog)


NOTES = """# Changelog

## Unreleased

## 1.2.3 - 2026-01-31

### Added

- One thing
  in two lines.
  - A part of it.
- `--another`.

## 1.2.2 - 2026-01-01

- Old.
"""


def test_the_notes_of_a_version_are_its_section_with_each_entry_on_one_line(tree: Path) -> None:
    prepare(tree, "1.2.3", NOTES)
    done = script(tree, "changelog.py", "v1.2.3")
    said = "### Added\n\n- One thing in two lines.\n  - A part of it.\n- `--another`.\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, said, "")


@pytest.mark.parametrize(
    ("tag", "version", "notes", "said"),
    [
        ("1.2.3", "1.2.3", NOTES, "is no tag of a release"),
        ("v1.2", "1.2", NOTES, "is no tag of a release"),
        ("v1.2.3", "1.2.2", NOTES, "v1.2.3 is not the version in clinder/__init__.py"),
        ("v1.2.3", "1.2.3", NOTES.replace("## Unreleased\n", "## Unreleased\n\n- New."), "under Unreleased"),
        ("v1.2.4", "1.2.4", NOTES, "the newest version in CHANGELOG.md is not `## 1.2.4"),
        ("v1.2.2", "1.2.2", NOTES, "the newest version in CHANGELOG.md is not `## 1.2.2"),
        ("v1.2.3", "1.2.3", NOTES.replace(" - 2026-01-31", ""), "is not `## 1.2.3 - <date>`, but `## 1.2.3`"),
        ("v1.2.3", "1.2.3", "# Changelog\n\n## 1.2.3 - 2026-01-31\n\n", "says nothing about 1.2.3"),
        ("v1.2.3", "1.2.3", "# Changelog\n", "is not `## 1.2.3"),
    ],
)
def test_a_tag_is_refused_where_code_and_changelog_say_another_version_or_nothing(
    tree: Path, tag: str, version: str, notes: str, said: str
) -> None:
    prepare(tree, version, notes)
    done = script(tree, "changelog.py", tag)
    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr


def test_this_version_can_be_released_by_giving_its_notes_a_date(tree: Path) -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text()
    newest = re.findall(r"^## (.*)$", changelog, re.MULTILINE)[0]
    assert newest == "Unreleased" or newest.startswith(f"{__version__} - ")
    prepare(tree, __version__, changelog.replace("## Unreleased\n", f"## {__version__} - 2026-01-31\n"))
    done = script(tree, "changelog.py", f"v{__version__}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("### ")


@pytest.mark.parametrize(("branch", "code"), [("main", 0), ("v1.2.x", 0), ("somebody-else", 1)])
def test_only_what_is_on_main_or_on_the_branch_of_an_older_version_is_released(
    tree: Path, tmp_path: Path, branch: str, code: int
) -> None:
    clone = tmp_path / "clone"
    git(tree, "checkout", "--quiet", "-B", branch)
    prepare(tree, "1.2.3", NOTES)
    commit_all(tree)
    git(tree, "clone", "--quiet", str(tree), str(clone))
    git(clone, "checkout", "--quiet", "--detach")
    check = step("release.build", "The tag is on main or a v1.2.x, and is the version of the code and of the changelog")
    env = os.environ | {"GITHUB_REF_NAME": "v1.2.3"}
    done = subprocess.run(
        ["bash", "-eo", "pipefail", "-c", check], cwd=clone, env=env, capture_output=True, check=False
    )
    assert done.returncode == code
    assert (clone / "notes.md").exists() == (code == 0)


# The Action's commit


class ActionRepository:
    """Where the Action's releases go, on this machine; `release()` is what the job `action` of release.yml does."""

    def __init__(self, tree: Path, directory: Path) -> None:
        self.tree = tree
        self.directory = directory
        self.bare = directory / "bare"
        self.bare.mkdir()
        git(self.bare, "init", "--quiet", "--bare", "--initial-branch", "main")

    def release(self, tag: str, image: str = IMAGE) -> subprocess.CompletedProcess[str]:
        shutil.rmtree(self.directory / "temp", ignore_errors=True)
        (self.directory / "temp").mkdir()
        name, _, digest = image.partition("@")
        env = os.environ | {"GITHUB_REF_NAME": tag, "IMAGE": name, "DIGEST": digest, "KEY": "none"}
        env |= {"RUNNER_TEMP": str(self.directory / "temp"), "GIT_CONFIG_COUNT": "2"}
        env |= {f"GIT_CONFIG_KEY_{number}": f"url.{self.bare}.insteadOf" for number in range(2)}
        env["GIT_CONFIG_VALUE_0"] = f"https://github.com/{OWNER}/clinder-action"
        env["GIT_CONFIG_VALUE_1"] = f"git@github.com:{OWNER}/clinder-action.git"
        steps = [
            step("release.action", name) for name in ("Make the release commit", "Push it, with all its tags or none")
        ]
        command = ["bash", "-eo", "pipefail", "-c", f"({steps[0]})\n({steps[1]})"]
        return subprocess.run(command, cwd=self.tree, env=env, capture_output=True, text=True, check=False)

    def refs(self) -> dict[str, str]:
        """Of which release each branch and tag is."""
        listed = git(self.bare, "for-each-ref", "--format", "%(refname) %(contents:subject)")
        return dict(line.removeprefix("refs/").split(" ") for line in listed.splitlines())


@pytest.fixture
def action(tree: Path, tmp_path: Path) -> ActionRepository:
    return ActionRepository(tree, tmp_path)


def test_the_action_of_a_release_differs_in_the_one_line_that_names_the_image(action: ActionRepository) -> None:
    done = action.release("v1.2.3")
    assert done.returncode == 0, done.stderr
    files = git(action.bare, "ls-tree", "-r", "--name-only", "v1").split()
    assert files == ["LICENSE", "README.md", "action.yml"]

    made = action.directory / "action.yml"
    made.write_text(git(action.bare, "show", "v1:action.yml") + "\n")
    before, after = (path.read_text().splitlines() for path in (ROOT / "action.yml", made))
    assert len(before) == len(after)
    changed = [pair for pair in zip(before, after, strict=True) if pair[0] != pair[1]]
    assert changed == [("  image: Dockerfile", f"  image: docker://{IMAGE}")]
    command = [executable("check-jsonschema"), "--builtin-schema", "vendor.github-actions", str(made)]
    valid = subprocess.run(command, capture_output=True, text=True, check=False)
    assert valid.returncode == 0, valid.stdout

    readme = git(action.bare, "show", "v1:README.md")
    assert f"oci://{IMAGE} " in readme
    assert "/blob/v1.2.3/docs/reference/action.md" in readme
    assert not re.search(r"\bTAG\b|\bIMAGE\b", readme)


def test_the_tags_of_a_release_move_forward_only(action: ActionRepository) -> None:
    tags = ["v1.2.3", "v1.3.0", "v1.10.0", "v1.2.4", "v2.0.0rc1"]
    for tag in tags:
        assert action.release(tag).returncode == 0
    newest = {"v1": "v1.10.0", "v1.2": "v1.2.4", "v1.3": "v1.3.0", "v1.10": "v1.10.0"}
    expected = newest | {tag: tag for tag in tags}
    assert action.refs() == {"heads/main": "v1.10.0"} | {f"tags/{tag}": of for tag, of in expected.items()}


def test_what_was_released_stays(action: ActionRepository) -> None:
    assert action.release("v1.2.3").returncode == 0
    before = git(action.bare, "for-each-ref")
    again = action.release("v1.2.3", IMAGE.replace("0", "f"))
    assert again.returncode != 0
    assert "v1.2.3 was released already" in again.stderr
    assert git(action.bare, "for-each-ref") == before


@pytest.mark.parametrize("image", [f"ghcr.io/{OWNER}/clinder@v1", IMAGE[:-1], IMAGE.rpartition("/")[2]])
def test_no_release_names_its_image_by_anything_but_a_digest(action: ActionRepository, image: str) -> None:
    done = action.release("v1.2.3", image)
    assert done.returncode != 0
    assert "is no image by its digest" in done.stderr
    assert action.refs() == {}


# The name

NEW = "Some-Lab"


def names(tree: Path, owner: str) -> list[str]:
    """Where the owner's name stands next to ours, or in backquotes, in whatever file."""
    pattern = rf"(?i)(?<![\w.-]){owner}/clinder(?:-action)?(?![\w-])|act-{owner}-clinder|`{owner}`"
    pattern += rf"|//{owner}\.github\.io/clinder"
    return [
        f"{path.relative_to(tree)}: {found[0]}"
        for path in tree.rglob("*")
        if path.is_file() and ".git" not in path.relative_to(tree).parts[:1]
        for found in re.finditer(pattern, path.read_text(errors="replace"))
    ]


def test_a_new_owner_is_written_everywhere_and_the_old_one_leaves_no_trace(tree: Path) -> None:
    others = f"my-{OWNER}/clinder x.{OWNER}/clinder {OWNER}/clinder-extras {OWNER}/clinderella \xff"
    (tree / "others").write_text(others, "latin-1")
    commit_all(tree)
    before = names(tree, OWNER)
    assert {"README.md", "Dockerfile", "pyproject.toml"} < {name.partition(":")[0] for name in before}
    examples = git(tree, "grep", "-F", "org/repo").count("org/repo")

    done = script(tree, "publish_name.py", NEW)
    assert done.returncode == 0, done.stderr
    assert names(tree, OWNER) == []
    assert (tree / ".github/owner").read_text() == f"{NEW}\n"
    assert len(names(tree, NEW)) == len(before)
    assert f"ghcr.io/{NEW.lower()}/clinder" in (tree / ".github/workflows/release.yml").read_text()
    assert f"uses: {NEW}/clinder-action@v1\n" in (tree / "examples/workflows/myst.yml").read_text()
    assert f'"https://{NEW.lower()}.github.io/clinder/' in (tree / "clinder/errors.py").read_text()
    # What merely has the same name is another thing, as is the repository that examples launch.
    assert (tree / "others").read_text("latin-1") == others
    assert git(tree, "grep", "-F", "org/repo").count("org/repo") == examples > 50

    assert script(tree, "publish_name.py", OWNER).returncode == 0
    assert git(tree, "status", "--porcelain") == ""


@pytest.mark.parametrize("name", ["", "a/b", "-a", "a b", "a--b"])
def test_a_name_that_github_would_not_have_is_refused(tree: Path, name: str) -> None:
    done = script(tree, "publish_name.py", name)
    assert done.returncode == 1
    assert git(tree, "status", "--porcelain") == ""
