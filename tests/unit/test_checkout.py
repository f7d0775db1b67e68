"""What a git checkout says to launch: real repositories, which git made and clinder reads without it."""

import zlib
from contextlib import closing
from pathlib import Path

import pytest

from clinder.errors import UsageError
from clinder.spec import RepoSpec
from clinder.target.checkout import Checkout
from clinder.target.target import resolve_target
from tests.support.git import URL, Git

ORG_REPO = ("org/repo", "gh")


@pytest.fixture
def git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Git:
    """An empty repository, without a remote."""
    return Git(tmp_path, monkeypatch)


@pytest.fixture
def cloned(git: Git) -> Git:
    """A repository with one commit, which its remote has."""
    git.commit()
    git("remote", "add", "origin", URL)
    git.pushed()
    return git


def found(directory: Path) -> tuple[RepoSpec, str] | None:
    with closing(around(directory)) as checkout:
        return checkout.remote_commit()


def around(directory: Path) -> Checkout:
    checkout = Checkout.around(directory)
    assert checkout
    return checkout


def is_pushed(git: Git, revision: str = "HEAD") -> bool:
    with closing(around(git.path)) as checkout:
        return checkout.is_pushed(git("rev-parse", revision))


# Remotes

REMOTES = {
    "https://github.com/org/repo": ORG_REPO,
    "https://github.com/org/repo.git": ORG_REPO,
    "https://me:secret@github.com/org/repo.git": ORG_REPO,
    "git@github.com:org/repo.git": ORG_REPO,
    "git@github.com:/org/repo": ORG_REPO,
    "github.com:org/repo.git": ORG_REPO,
    "org-123@github.com:org/repo.git": ORG_REPO,
    "ssh://git@github.com/org/repo.git": ORG_REPO,
    "ssh://git@github.com:22/org/repo.git": ORG_REPO,
    "ssh://github.com/org/repo": ORG_REPO,
    "ssh://git@ssh.github.com:443/org/repo.git": ORG_REPO,
    "git@ssh.github.com:org/repo.git": ORG_REPO,
    "git+ssh://git@github.com/org/repo.git": ORG_REPO,
    "https://gitlab.com/group/sub/project.git": ("group/sub/project", "gl"),
    "git@gitlab.com:group/sub/project.git": ("group/sub/project", "gl"),
    "ssh://git@altssh.gitlab.com:443/group/project.git": ("group/project", "gl"),
    "https://gist.github.com/user/0123abcd.git": ("user/0123abcd", "gist"),
    "https://bitbucket.org/org/repo.git": ("https://bitbucket.org/org/repo.git", "git"),
    "https://me:se@secret@git.example.org/org/repo": ("https://git.example.org/org/repo", "git"),
    "git@git.example.org:org/repo.git": ("https://git.example.org/org/repo.git", "git"),
    "ssh://git:secret@git.example.org:2222/a/b": ("https://git.example.org/a/b", "git"),
    "git://git.example.org/repo.git": ("git://git.example.org/repo.git", "git"),
}


@pytest.mark.parametrize("url", REMOTES)
def test_it_is_the_repository_of_the_remote_at_the_commit(git: Git, url: str) -> None:
    git.commit()
    git("remote", "add", "origin", url)
    repo, provider = REMOTES[url]
    assert found(git.path) == ((repo, git.head, provider), "origin")


USELESS = [
    *("/srv/git/repo.git", "../repo", "./a:b/c", "org/repo", "file:///srv/repo.git", "C:/org/repo", "C:\\org\\repo"),
    *("git@github-work:org/repo.git", "work:org/repo", "ssh://git@work/org/repo", "http://localhost:3000/org/repo"),
    *("https://github.com/org", "ftp://git.example.org/repo", "ext::ssh git.example.org x", "", "https://[oops/a/b"),
]


@pytest.mark.parametrize("url", USELESS)
def test_what_no_hub_could_reach_is_no_use_and_another_remote_is(git: Git, url: str) -> None:
    git.commit()
    git("config", "remote.origin.url", url)
    assert found(git.path) is None
    git("remote", "add", "zzz", URL)
    assert found(git.path) == (("org/repo", git.head, "gh"), "zzz")


def test_it_is_the_remote_that_the_branch_follows_then_origin_then_any(git: Git) -> None:
    git.commit()
    for name in ("aaa", "origin", "mine"):
        git("remote", "add", name, f"https://github.com/{name}/repo")
    assert found(git.path) == (("origin/repo", git.head, "gh"), "origin")
    git("config", "branch.main.remote", "mine")
    assert found(git.path) == (("mine/repo", git.head, "gh"), "mine")
    git("config", "branch.main.remote", ".")  # another branch here
    assert found(git.path) == (("origin/repo", git.head, "gh"), "origin")
    git("checkout", "-q", "-b", "feature/x")
    git("config", "branch.feature/x.remote", "mine")
    assert found(git.path) == (("mine/repo", git.head, "gh"), "mine")
    git("checkout", "-q", "--detach")
    git("remote", "remove", "origin")
    assert found(git.path) == (("aaa/repo", git.head, "gh"), "aaa")


def test_a_remote_without_a_url_is_none(cloned: Git) -> None:
    cloned("config", "remote.aaa.prune", "true")
    cloned("config", "branch.main.remote", "aaa")
    assert found(cloned.path) == (("org/repo", cloned.head, "gh"), "origin")
    cloned("config", "--unset", "remote.origin.url")
    assert found(cloned.path) is None


def test_a_remote_with_several_urls_is_where_git_fetches_from(cloned: Git) -> None:
    cloned("remote", "set-url", "--add", "origin", "https://github.com/mirror/repo")
    cloned("remote", "set-url", "--push", "origin", "https://github.com/push/repo")
    assert found(cloned.path) == (("org/repo", cloned.head, "gh"), "origin")


@pytest.mark.parametrize("where", ["--global", "--local"])
def test_a_url_is_what_gits_configuration_makes_of_it(git: Git, where: str) -> None:
    git.commit()
    git("remote", "add", "origin", "gh:org/repo")
    git("config", where, "url.git@github.com:.insteadOf", "gh:")
    assert found(git.path) == (("org/repo", git.head, "gh"), "origin")


@pytest.mark.parametrize("content", [b"[oops", b'[url "\xff"]\n insteadOf = https', b'[include]\n path = "\xff'])
def test_a_configuration_of_the_person_that_can_not_be_read_is_passed_over(cloned: Git, content: bytes) -> None:
    expected = (("org/repo", cloned.head, "gh"), "origin")
    (cloned.path.parent / ".gitconfig").write_bytes(content)
    assert found(cloned.path) == expected


def test_an_error_names_the_remotes_without_their_passwords(git: Git) -> None:
    git.commit()
    git("remote", "add", "origin", "ssh://me:secret@work/x")
    git("remote", "add", "local", "/srv/repo")
    with closing(around(git.path)) as checkout:
        assert checkout.why_not() == (
            f"the git checkout {git.path} has no remote that a hub could reach (origin: ssh://work/x, local: /srv/repo)"
        )


# Checkouts


def test_a_detached_head_is_the_commit_in_a_subdirectory_as_well(cloned: Git) -> None:
    first = cloned.head
    cloned.commit()
    cloned("checkout", "-q", first)
    below = cloned.path / "docs" / "book"
    below.mkdir(parents=True)
    assert found(cloned.path) == found(below) == (("org/repo", first, "gh"), "origin")


def test_packed_refs_and_objects_are_read_as_well(cloned: Git) -> None:
    head = cloned.head
    cloned("tag", "-a", "v1", "-m", "x")
    cloned("gc", "-q")
    cloned("pack-refs", "--all")
    assert found(cloned.path) == (("org/repo", head, "gh"), "origin")
    assert is_pushed(cloned)


def test_a_worktree_has_its_own_commit_and_branch(cloned: Git) -> None:
    first = cloned.head
    cloned("remote", "add", "mine", "https://github.com/me/repo")
    cloned("config", "branch.other.remote", "mine")
    cloned("config", "extensions.worktreeConfig", "true")
    cloned("worktree", "add", "-q", "-b", "other", "../tree")
    cloned.commit()
    assert found(cloned.path.parent / "tree") == (("me/repo", first, "gh"), "mine")
    assert found(cloned.path) == (("org/repo", cloned.head, "gh"), "origin")


def test_a_submodule_is_a_repository_of_its_own(cloned: Git) -> None:
    other = cloned.path.parent / "other"
    cloned("clone", "-q", str(cloned.path), str(other))
    cloned("submodule", "--quiet", "add", str(other), "lib")
    cloned("remote", "set-url", "origin", "https://github.com/org/lib", cwd=cloned.path / "lib")
    first = cloned.head
    cloned.commit()
    assert found(cloned.path / "lib") == (("org/lib", first, "gh"), "origin")


def test_a_bare_repository_will_do(cloned: Git) -> None:
    cloned.move_to_clone("--bare")
    assert found(cloned.path) == (("org/repo", cloned.head, "gh"), "origin")


def test_a_repository_with_sha256_has_longer_commits(git: Git) -> None:
    git("init", "-q", "--object-format=sha256", "../sha256")
    git.path = git.path.parent / "sha256"
    git.commit()
    git("remote", "add", "origin", URL)
    assert len(git.head) == 64
    assert found(git.path) == (("org/repo", git.head, "gh"), "origin")
    assert not is_pushed(git)
    git.pushed()
    assert is_pushed(git)


def test_an_unborn_branch_has_no_commit(git: Git) -> None:
    git("remote", "add", "origin", URL)
    assert_nothing(git.path)


BROKEN = [
    ("config", b"[oops"),
    ("config", b"[core]\n repositoryformatversion = 99"),
    ("config", b"[core]\n repositoryformatversion = x"),
    ("config", b"[core]\n repositoryformatversion = 1\n[extensions]\n unheardOf = true"),
    ("config", b"[core]\n bare = true\n worktree = /"),
    ("packed-refs", b""),
    ("packed-refs", b"garbage\n"),
    ("packed-refs", b"\xff"),
    *(
        ("HEAD", text)
        for text in (b"", b"garbage", b"ref:", b"ref: HEAD", b"ref: refs/heads/../x", b"a" * 39, b"g" * 40)
    ),
]


@pytest.mark.parametrize(("name", "content"), BROKEN)
def test_a_broken_repository_has_nothing_to_launch(cloned: Git, name: str, content: bytes) -> None:
    cloned("pack-refs", "--all")
    (cloned.path / ".git" / name).write_bytes(content)
    assert_nothing(cloned.path)


def test_what_is_warned_of_is_the_commit_that_is_launched(cloned: Git) -> None:
    def chosen(*, reuse_image: bool) -> tuple[str, bool]:
        target = resolve_target(
            hub="https://hub.example.org", environ={}, directory=cloned.path, reuse_image=reuse_image
        )
        return target.spec.ref, any("push it" in line for line in target.lines)

    (cloned.path / "requirements.txt").write_text("numpy\n")
    cloned("add", ".")
    environment = cloned.commit()
    cloned.pushed()
    prose = cloned.commit()
    assert chosen(reuse_image=True) == (environment, False)
    assert chosen(reuse_image=False) == (prose, True)


def test_a_name_in_a_checkout_is_a_strangers_word(cloned: Git) -> None:
    cloned("remote", "remove", "origin")
    cloned("config", "remote.ev\x1b[2Jil.url", URL)
    lines = resolve_target(hub="https://hub.example.org", environ={}, directory=cloned.path).lines
    assert "the git checkout, remote evil)" in lines[0]
    cloned("config", "remote.ev\x1b[2Jil.url", "/no/\x1b]0;where")
    with pytest.raises(UsageError) as caught:
        resolve_target(hub="https://hub.example.org", environ={}, directory=cloned.path)
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"garbage", zlib.compress(b"commit 3\0abc"), zlib.compress(b"tree")[:-3]])
@pytest.mark.parametrize("of", ["HEAD", "HEAD^", "HEAD^{tree}"])
def test_a_damaged_object_ends_no_launch(cloned: Git, content: bytes, of: str) -> None:
    cloned.commit()
    cloned.commit()
    name = cloned("rev-parse", of).strip()
    head = cloned("rev-parse", "HEAD").strip()
    damaged = cloned.path / ".git/objects" / name[:2] / name[2:]
    damaged.chmod(0o644)
    damaged.write_bytes(content)
    target = resolve_target(hub="https://hub.example.org", environ={}, directory=cloned.path, reuse_image=True)
    assert (target.spec.ref, target.instead_of) == (head, None)
    assert any("no image is reused" in line for line in target.lines)


@pytest.mark.parametrize("content", [b"garbage\n", b"ref: refs/remotes/origin/HEAD\n", b"\xff" * 40])
def test_a_damaged_ref_ends_no_launch(cloned: Git, content: bytes) -> None:
    head = cloned("rev-parse", "HEAD").strip()
    (cloned.path / ".git/refs/remotes/origin").mkdir(parents=True, exist_ok=True)
    (cloned.path / ".git/refs/remotes/origin/HEAD").write_bytes(content)
    (cloned.path / ".git/refs/tags/bad").write_bytes(content)
    assert resolve_target(hub="https://hub.example.org", environ={}, directory=cloned.path).spec.ref == head


@pytest.mark.parametrize("content", [b"\n", b"0" * 4000, b"\xff\n"])
def test_damaged_packed_refs_end_no_launch(cloned: Git, content: bytes) -> None:
    (cloned.path / ".git/packed-refs").write_bytes(content)
    url = "https://github.com/Org/repo/tree/other/docs"  # a folder may follow a ref, which the checkout would know
    target = resolve_target(hub="https://hub.example.org", environ={}, directory=cloned.path, repo=url)
    assert target.spec.ref == "other/docs"


@pytest.mark.parametrize("content", ["gitdir: /no/such/place\n", "gitdir: ../checkout/.git/worktrees/x\n", "oops", ""])
def test_a_git_file_that_points_nowhere_has_nothing_to_launch(tmp_path: Path, content: str) -> None:
    (tmp_path / ".git").write_text(content)
    assert_nothing(tmp_path)


def assert_nothing(directory: Path) -> None:
    if checkout := Checkout.around(directory):
        with closing(checkout):
            assert checkout.remote_commit() is None
            assert "no commit that can be read" in checkout.why_not()


# What was pushed


def test_a_commit_on_a_branch_of_the_remote_or_behind_it_is_pushed_and_one_ahead_is_not(cloned: Git) -> None:
    assert is_pushed(cloned)
    cloned.commit()
    assert not is_pushed(cloned)
    assert is_pushed(cloned, "HEAD~1")
    cloned.pushed(branch="origin/feature/x")
    cloned.commit()
    assert is_pushed(cloned, "HEAD~1")


def test_nothing_is_warned_of_where_the_history_is_too_long(cloned: Git, monkeypatch: pytest.MonkeyPatch) -> None:
    cloned.commit()
    assert not is_pushed(cloned)
    monkeypatch.setattr("clinder.target.checkout._SECONDS", 0.0)
    assert is_pushed(cloned)


@pytest.mark.parametrize("seconds", [0, -3600])
def test_the_clock_decides_nothing(cloned: Git, seconds: int) -> None:
    for _ in range(5):
        cloned.commit(seconds=seconds)
    cloned.pushed()
    assert all(is_pushed(cloned, f"HEAD~{n}") for n in range(6))
    cloned.commit(seconds=seconds)
    assert not is_pushed(cloned)


def test_a_branch_of_another_remote_does_not_count_unless_it_is_the_same_repository(cloned: Git) -> None:
    cloned.commit()
    cloned("remote", "add", "mine", "https://github.com/me/repo")
    cloned.pushed(branch="mine/main")
    assert not is_pushed(cloned)
    cloned("remote", "set-url", "mine", "git@github.com:org/repo.git")
    assert is_pushed(cloned)


def test_both_sides_of_a_merge_that_was_pushed_are_pushed_and_the_merge_alone_is_not(cloned: Git) -> None:
    cloned("checkout", "-q", "-b", "side")
    side = cloned.commit()
    cloned("checkout", "-q", "main")
    main = cloned.commit()
    cloned.pushed()
    cloned("merge", "-q", "--no-ff", "-m", "x", "side")
    assert is_pushed(cloned, main)
    assert not is_pushed(cloned, side)
    assert not is_pushed(cloned)
    cloned.pushed()
    assert is_pushed(cloned, main)
    assert is_pushed(cloned, side)


@pytest.mark.parametrize("annotated", [["-a", "-m", "x"], []])
def test_the_commit_of_a_tag_is_taken_for_pushed(cloned: Git, annotated: list[str]) -> None:
    cloned.commit()
    cloned("tag", *annotated, "v1")
    assert is_pushed(cloned)
    cloned.commit()
    assert not is_pushed(cloned)


def test_refs_that_lead_to_no_commit_change_nothing(cloned: Git) -> None:
    cloned("symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/gone")
    (cloned.path / "file").write_text("x")
    cloned("tag", "blob", cloned("hash-object", "-w", "file"))
    assert is_pushed(cloned)
    cloned.commit()
    assert not is_pushed(cloned)


@pytest.fixture
def shallow(cloned: Git) -> Git:
    """A clone of the newest of three commits, all pushed."""
    cloned.commit()
    cloned.commit()
    cloned.move_to_clone("--depth", "1")
    return cloned


def test_a_shallow_clone_is_a_checkout_like_any_other(shallow: Git) -> None:
    assert found(shallow.path) == (("org/repo", shallow.head, "gh"), "origin")
    assert is_pushed(shallow)
    shallow.commit(seconds=2 * 24 * 3600)
    assert not is_pushed(shallow)


def test_nothing_is_warned_of_where_the_history_is_missing(shallow: Git) -> None:
    shallow.commit(seconds=60)
    assert is_pushed(shallow), "the missing parents of the branch might be it, for all that the clocks say"


def test_a_checkout_of_a_tag_alone_is_pushed(cloned: Git) -> None:
    cloned("tag", "v1")
    cloned.move_to_clone("--depth", "1", "--branch", "v1")
    assert found(cloned.path) == (("org/repo", cloned.head, "gh"), "origin")
    assert is_pushed(cloned)


def test_an_ancestor_is_contained_as_far_as_the_history_is_here(shallow: Git) -> None:
    old = shallow.head
    new = shallow.commit()
    with closing(around(shallow.path)) as checkout:
        assert checkout.resolve("HEAD") == new.encode()
        assert checkout.has_in([new], old)
        assert checkout.has_in(["0" * 40, "HEAD"], old)
        assert not checkout.has_in([old], new)
        assert not any(checkout.resolve(text) for text in ("refs/remotes/origin/no", "", "0" * 40))
