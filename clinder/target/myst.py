"""Read the hub, repository and ref from a project's myst.yml, in all the forms that MyST accepts.

This module knows MyST's configuration (mystmd, packages/myst-frontmatter/src/thebe/validators.ts;
myst-cli/src/config.ts) and reads files, within bounds. It knows no checkout, no CI and no network: for files on the web
that a myst.yml extends, it returns the URLs.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from clinder.errors import UsageError
from clinder.giturl import remove_login
from clinder.spec import RepoSpec, parse_hub
from clinder.target.files import load_yaml, read_file

MAX_SIZE = 256 * 1024  # bytes of a file; the file of a large book has a twentieth of that
_MAX_EXTENDED = 20  # the most files that are read in total

Project = dict[Any, Any]


class MystRepository(NamedTuple):
    """A repository and a ref; each is None if it is not named."""

    spec: RepoSpec | None
    ref: str | None


class MystConfig:
    """The hub, repository and ref in a project's configuration. Each comes from the first place that names it.

    The places are ``project.jupyter.binder``, ``project.binder`` and ``project.github``. In place of a hub's URL, a
    launch link is also accepted. A value is read only when it is needed, so an error in another value does not matter.
    ``name`` is the file's name for messages. ``remote`` has the URLs that the file extends; the first counts most.
    """

    def __init__(self, project: Project, name: str, remote: tuple[str, ...] = ()) -> None:
        self.name = name
        self.remote = remote
        self._project = project
        jupyter = project.get("jupyter")
        self._places = {
            "jupyter.binder": jupyter.get("binder") if isinstance(jupyter, dict) else None,
            "binder": project.get("binder"),
        }
        self._github = project.get("github")

    def filled(self, extended: "MystConfig") -> "MystConfig":
        """Return this configuration, with missing keys added from a file that it extends."""
        return MystConfig({**extended._project, **self._project}, self.name, self.remote)

    def hub(self) -> str | None:
        """Return the hub's URL, or None. Raises `UsageError`."""
        for place, options in self._places.items():
            with self._blamed(place):
                if url := _option(options, "url"):
                    return parse_hub(url)[0]
        return None

    def repository(self) -> MystRepository:
        """Return the repository and its ref. Without a ref, the spec's ref is HEAD. Raises `UsageError`."""
        ref = None
        for place, options in self._places.items():
            with self._blamed(place):
                spec, its_ref = _repository(options)
                ref = ref or its_ref
                if spec:
                    return MystRepository(spec.at(ref or "HEAD"), ref)
        spec, its_ref = _github_repository(self._github)
        ref = ref or its_ref
        return MystRepository(spec and spec.at(ref or "HEAD"), ref)

    @contextmanager
    def _blamed(self, place: str) -> Iterator[None]:
        try:
            yield
        except UsageError as error:
            raise UsageError(f"{self.name}, project.{place}: {error.message}", error.hint) from None


def find_myst(directory: Path) -> MystConfig | None:
    """Return the configuration of the first myst.yml that has a project, in a directory or above it, as MyST does.

    Local files that it ``extends`` are read and merged as MyST does. Raises `UsageError`.
    """
    for folder in (directory, *directory.parents):
        for name in ("myst.yml", "myst.yaml"):
            path = folder / name
            # os.path.exists() is False if a directory above may not be read; Path.exists() raises
            if os.path.exists(path) and not os.path.isdir(path):  # noqa: PTH110, PTH112
                project, remote = _read_project(path, [])
                if project is not None or remote:
                    return MystConfig(project or {}, os.path.relpath(path, directory), tuple(remote))
    return None


def parse_myst(content: bytes, name: str) -> MystConfig:
    """Return the configuration in a file's content, without the files that it extends. Raises `UsageError`."""
    return MystConfig(_own_project(_parse(content, name)) or {}, name)


def _read_project(path: Path, read: list[str]) -> tuple[Project | None, list[str]]:
    """Return a file's project and the URLs that it extends. ``read`` has the files so far, to find circles.

    It merges as MyST does: the file's own keys count most, then those of the files that it extends, the last first. The
    value of a key is not merged.
    """
    read.append(os.path.abspath(path))  # noqa: PTH100  (resolve() raises errors of links and of names)
    config = _read_config(path)
    project, remote = _own_project(config), []
    for extended in reversed(_extended(config)):
        if re.match("https?://", extended, re.IGNORECASE):
            remote.append(extended)
            continue
        file = path.parent / extended
        if os.path.abspath(file) not in read and len(read) < _MAX_EXTENDED:  # noqa: PTH100
            more, urls = _read_project(file, read)
            remote += urls
            project = project if more is None else {**more, **(project or {})}
    return project, remote


def _own_project(config: Project) -> Project | None:
    project = config.get("project")
    if not isinstance(project, dict):
        return None
    own = {key: value for key, value in project.items() if value is not None}
    if "thebe" in own:  # the older name of jupyter
        own.setdefault("jupyter", own["thebe"])
    return own


def _extended(config: Project) -> list[str]:
    extended = config.get("extends") or config.get("extend")
    each_of = extended if isinstance(extended, list) else [extended]
    return [each for each in each_of if isinstance(each, str)]


def _read_config(path: Path) -> Project:
    try:
        content = read_file(path, MAX_SIZE)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise UsageError(f"{path} can't be read as MyST's configuration: {why}.", _SAY_WHICH) from None
    return _parse(content, str(path))


_SAY_WHICH = "Correct it, or give a hub and --repo."


def _parse(content: bytes, name: str) -> Project:
    import yaml

    mark = None
    try:
        config = load_yaml(content.decode("utf-8"))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
    except (ValueError, LookupError, AttributeError, ArithmeticError, RecursionError):
        pass  # PyYAML raises these errors for a value that does not fit its tag
    else:
        if config is None or isinstance(config, dict):
            return config or {}
    last = content.rstrip(b" \t").count(b"\n")  # libyaml's line is one too high if a file ends too early
    line = f", line {min(mark.line, last) + 1}," if mark else ""
    raise UsageError(f"{name}{line} can't be read as MyST's configuration.", _SAY_WHICH)


def _repository(options: Any) -> MystRepository:
    """Return the repository and ref in one of the places."""
    repo, ref, provider, url = (_option(options, key) for key in ("repo", "ref", "provider", "url"))
    if not repo:
        spec = parse_hub(url)[1] if re.search("/(v2|build|repo)/", url) else None
        return MystRepository(spec, ref or (spec.ref if spec else None))
    spec = _parse_repo(remove_login(repo), provider.lower())
    if spec.ref != "HEAD":  # the repository's URL has a ref
        ref = ref or spec.ref
    return MystRepository(spec, ref or None)


def _parse_repo(repo: str, provider: str) -> RepoSpec:
    """Return the spec of a repository in myst.yml. The default provider there is github, which also takes any URL."""
    if "://" in repo and provider in ("", "github", "gitlab", "gist"):
        return RepoSpec.parse(repo)
    return RepoSpec.parse(repo, None, provider or "github")


def _github_repository(github: Any) -> MystRepository:
    """Return the repository in ``project.github``. It may also be an organisation or any page: then return none."""
    if isinstance(github, str):
        with suppress(UsageError):
            spec = RepoSpec.parse(remove_login(github.strip()))
            if spec.provider == "git" and not re.match(r"https?://github\.", spec.repo):  # a page of the web
                return MystRepository(None, None)
            if re.search("/(tree|commits?)/", github):
                return MystRepository(spec, spec.ref)
            return MystRepository(spec.at("HEAD") if spec.ref != "HEAD" else spec, None)
    return MystRepository(None, None)


def _option(options: Any, key: str) -> str:
    """Return one of the options of a place. A place that is a text is a hub's URL."""
    if isinstance(options, str):
        options = {"url": options}
    value = options.get(key) if isinstance(options, dict) else None
    if value is None:
        return ""
    if not isinstance(value, str):
        raise UsageError(f"{key} is not a text.", "Expected it in quotes.")
    return value.strip()
