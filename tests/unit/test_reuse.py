"""Which commit's image is used again, on real repositories: git makes them, and git says what is in them."""

import json
import random
import re
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinder import RepoSpec
from clinder.target.checkout import Checkout
from clinder.target.ci import Base
from clinder.target.environment import find_environment
from clinder.target.target import resolve_target
from tests.support.history import Repository, imported
from tests.support.pairs import PAIRS, each

ENVIRONMENT = {"environment.yml": "dependencies:\n- python=3.12\n"}
FULL_HISTORY = "fetch-depth: 0"


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
    assert re.search(r"; (narrow|broad)", why)
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
    said = f"{changed[:10]} itself changed the environment (environment.yml; narrow: environment.yml)"
    assert refused(repo.path, changed) == said


def test_files_that_change_and_go_back_are_a_change_each_time(repo: Repository) -> None:
    repo.commit(ENVIRONMENT)
    repo.commit({"environment.yml": "dependencies: []\n"})
    back = repo.commit(ENVIRONMENT)
    assert reused(repo, repo.prose()) == back


def test_a_mode_is_part_of_the_environment(repo: Repository) -> None:
    repo.commit({"postBuild": "echo hello\n"})  # the image has the mode, too
    repo.git("update-index", "--chmod=+x", "postBuild")
    repo.git("commit", "--quiet", "--message", "chmod")
    changed = repo.git("rev-parse", "HEAD")
    repo.git("checkout", "--quiet", "--force")
    assert reused(repo, repo.prose()) == changed


def test_the_files_that_changed_are_named(repo: Repository) -> None:
    repo.commit(ENVIRONMENT)
    repo.commit({"apt.txt": "cowsay\n", "environment.yml": "dependencies: []\n", "data.csv": "1"})
    assert "(apt.txt, environment.yml; narrow: " in reuse(repo.path, repo.prose())[1]


@pytest.mark.parametrize(
    "name",
    each(
        "environment.yml | environment.yaml | Pipfile | Pipfile.lock | requirements.txt | requirements3.txt",
        "setup.cfg | pyproject.toml | runtime.txt | apt.txt | install.R | default.nix | postBuild | start | REQUIRE",
        "setup.py",
        "Project.toml | JuliaProject.toml | Manifest.toml | JuliaManifest.toml | Manifest-v1.12.toml | DESCRIPTION",
        "LocalPreferences.toml | Artifacts.toml | Dockerfile",
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
    repo.commit({"docs/environment.yml": "other", "docs/binder/apt.txt": "cowsay", "Makefile": ""})
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


def test_two_directories_for_binder_make_all_files_count(repo: Repository) -> None:
    both = {f"{directory}/{name}": text for name, text in ENVIRONMENT.items() for directory in ("binder", ".binder")}
    defined = repo.commit(both)
    prose = repo.prose()
    assert reused(repo, prose) == defined
    assert "broad, so that all files but prose count: binder and .binder are two folders" in reuse(repo.path, prose)[1]
    changed = repo.commit({"data.csv": "1"})
    assert reused(repo, repo.prose()) == changed


def test_a_file_called_binder_is_no_directory(repo: Repository) -> None:
    repo.commit({**ENVIRONMENT, "binder": "a file"})
    defined = repo.commit({"apt.txt": "cowsay"})
    repo.commit({"binder": "another"})
    assert reused(repo, repo.prose()) == defined


@pytest.mark.parametrize("name", ["helper.sh", "postBuild.d/10-more", "b\u00e9ta \u6f22.txt", "a\nb", "README.md"])
def test_all_files_in_binder_are_part_of_the_environment(repo: Repository, name: str) -> None:
    repo.commit({"binder/postBuild": "echo hello\n", f"binder/{name}": "1"})
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
    assert "itself changed the environment (apt.txt, runtime.txt; narrow: " in refused(branches.path, merge)
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
        (ENVIRONMENT, {"environment.yml": None, "environment.yaml": "dependencies: []"}),
        (ENVIRONMENT, {"environment.yml": None, "binder/environment.yml": ENVIRONMENT["environment.yml"]}),
        ({"binder/apt.txt": "a"}, {"binder/apt.txt": None, ".binder/apt.txt": "a"}),
        ({"binder/apt.txt": "a"}, {"binder/apt.txt": None, "apt.txt": "a"}),
        ({"binder/apt.txt": "a"}, {"binder/apt.txt": None, "binder/sub/apt.txt": "a"}),
        ({**ENVIRONMENT, "binder/apt.txt": "a"}, {"binder/apt.txt": None}),
        (ENVIRONMENT, {"environment.yml": None}),
    ],
)
def test_a_file_that_was_deleted_or_renamed_is_a_change_like_any_other(
    repo: Repository, before: dict[str, str | None], after: dict[str, str | None]
) -> None:
    repo.commit(before)
    changed = repo.commit(after)
    assert "itself changed the environment" in refused(repo.path, changed)
    assert [reused(repo, repo.prose()) for _ in range(2)] == [changed] * 2


def test_moving_the_environment_to_binder_is_a_change_when_the_old_files_stay(repo: Repository) -> None:
    repo.commit(ENVIRONMENT)
    moved = repo.commit({"binder/environment.yml": ENVIRONMENT["environment.yml"]})
    repo.commit({"environment.yml": None})  # nobody reads it any more
    assert reused(repo, repo.prose()) == moved


def test_a_file_that_a_merge_deleted_is_a_change_of_the_merge(branches: Repository) -> None:
    branches.commit({"apt.txt": "cowsay"})
    on_other(branches, {"runtime.txt": "python-3.12"})
    merge = branches.merge("other", files={"apt.txt": None, "environment.yml": "dependencies: []"})
    assert reused(branches, branches.prose()) == merge


# What the build reads: tests/support/pairs.py


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    return Repository(tmp_path_factory.mktemp("shared") / "repo")


@pytest.fixture(scope="module")
def commits(shared: Repository) -> dict[str, tuple[str, str]]:
    """For every pair the commit that made its environment, and the one that is asked for."""
    trees: list[tuple[list[int], Mapping[str, str], int]] = []
    for files, change, _ in PAIRS.values():
        changed = {name: text for name, text in {**files, **change}.items() if text is not None}
        trees += [([], files, 10**9), ([len(trees)], changed, 10**9)]
    made = imported(shared, trees)
    return dict(zip(PAIRS, zip(made[::2], made[1::2], strict=True), strict=True))


@pytest.mark.parametrize("name", PAIRS)
def test_of_two_commits_the_older_one_is_launched_if_nothing_changed_that_the_build_can_read(
    shared: Repository, commits: dict[str, tuple[str, str]], name: str
) -> None:
    old, new = commits[name]
    spec, why = reuse(shared.path, new)
    assert {old: "old", new: "new"}[spec.ref] == PAIRS[name].launched, why


def test_each_line_of_the_rule_is_shown_both_ways() -> None:
    assert {pair.launched for pair in PAIRS.values()} == {"old", "new"}
    assert len(PAIRS) > 200


def test_files_that_name_each_other_a_thousand_times_make_all_files_count(repo: Repository) -> None:
    many = {f"r{number}.txt": f"-r r{number + 1}.txt" for number in range(1500)}
    defined = repo.commit({"requirements.txt": "-r r0.txt", **many})
    prose = repo.prose()
    assert reused(repo, prose) == defined
    assert "; broad" in reuse(repo.path, prose)[1]


# What is no history


def test_a_repository_without_such_files_has_the_default_environment_from_the_first_commit_on(repo: Repository) -> None:
    first = repo.prose()
    repo.commit({"data.csv": "1"})
    prose = repo.prose()
    assert reused(repo, prose) == first
    assert "(the first commit; narrow: the default, for no file defines one)" in reuse(repo.path, prose)[1]


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
        "no image is reused: there is no git checkout here, and clinder needs its history",
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
        assert refused(clone, head) == "this checkout is a partial clone, without the folders of earlier commits"
    bare = repo.clone("bare", f"--filter={kind}", "--no-checkout")
    spec, why = reuse(bare, head)
    assert (spec.ref == defined) == known
    assert "a partial clone" in why


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


def environment(tree: Tree) -> tuple[str, Tree]:
    """What repo2docker reads of all of a commit's files; nobody knows that if there are two folders for it."""
    own = {name.partition("/")[0] for name in tree} & {"binder", ".binder"}
    if len(own) > 1:
        return "all", {n: t for n, t in tree.items() if not n.endswith(".md")}
    directory = "".join(own)
    return directory, {n: t for n, t in tree.items() if (n.startswith(f"{directory}/") if own else n in ROOT)}


@given(histories())
@settings(max_examples=80)
def test_what_is_reused_is_an_ancestor_of_the_same_environment_which_it_changed_whatever_the_history(
    history: list[tuple[list[int], Tree, int]],
) -> None:
    # A value of a file is the same text in all of them, so that these are environment.yml's that can be read.
    text = {"a": "dependencies: []", "b": "dependencies: [numpy]"}
    with tempfile.TemporaryDirectory() as directory:
        repo = Repository(Path(directory))
        commits = imported(repo, [(p, {n: text[t] for n, t in tree.items()}, date) for p, tree, date in history])
        with checkout(repo.path) as opened:
            for number, commit in enumerate(commits):
                found, why = find_environment(commit, opened)
                chosen = found or commit
                check(history, number, commits.index(chosen), why)
                if not any("binder/" in name for _, tree, _ in history for name in tree):
                    simplified = repo.git("log", "-1", "--format=%H", commit, "--", *sorted(ROOT))
                    assert chosen == simplified or not simplified


def check(history: list[tuple[list[int], Tree, int]], asked: int, chosen: int, why: str) -> None:
    wanted = environment(history[asked][1])
    same = reachable(history, asked)  # by commits that all have this environment
    assert chosen in same
    assert all(environment(history[parent][1]) != wanted for parent in history[chosen][0])
    assert ("itself changed" in why) == (chosen == asked)


def reachable(history: list[tuple[list[int], Tree, int]], start: int) -> set[int]:
    found, wanted = {start}, environment(history[start][1])
    for number in range(start, -1, -1):
        if number in found:
            found |= {p for p in history[number][0] if environment(history[p][1]) == wanted}
    return found


# As long as it may take


def test_a_history_that_takes_too_long_reuses_nothing(repo: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clinder.target.environment._SECONDS", 0.0)
    repo.commit(ENVIRONMENT)
    assert refused(repo.path, repo.prose()) == "the history in this checkout is too large to be read in 0 s"


@pytest.mark.parametrize("defined", ["apt.txt", "binder/apt.txt", "setup.py"], ids=["root", "binder", "broad"])
def test_five_thousand_commits_of_prose_take_seconds_at_most(repo: Repository, defined: str) -> None:
    rng = random.Random(0)
    stream = []
    for number in range(5000):
        text = f"{number}"
        stream += ["commit refs/heads/long", f"committer me <me@example.org> {10**9 + number} +0000", "data 0"]
        stream += [f"M 100644 inline {defined}", "data 1", "x"] if not number else []
        stream += [f"M 100644 inline docs/{rng.randrange(200)}.md", f"data {len(text)}", text, ""]
    repo.git("fast-import", "--quiet", stdin="\n".join(stream).encode())
    first, *_, last = repo.git("rev-list", "--reverse", "long").split()
    began = time.process_time()
    assert reused(repo, last) == first
    assert time.process_time() - began < 10  # about half a second of work; a search that is not linear takes minutes
