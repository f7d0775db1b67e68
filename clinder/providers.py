"""The providers of repositories that a BinderHub can launch, and how to recognise a repository that a person wrote.

Each provider is one declaration. Its fields have the names of ``display_config`` in binderhub/repoproviders.py, and the
encodings are those that the classes there decode. The functions are pure, over text: no hub, no file, no network. They
recognise an address and do not check it; `clinder.spec.RepoSpec` does that.
"""

import re
from collections.abc import Callable
from difflib import get_close_matches
from typing import NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

from clinder.errors import UsageError
from clinder.giturl import check_length, quote_text, remove_user, to_https


class Provider(NamedTuple):
    """How people write a provider's repositories, and how a hub expects them in a URL."""

    placeholder: str  # what a repository looks like, for a person
    validate_regex: str  # what a repository looks like, for a machine
    url_encode: bool = False  # whether slashes in the repository are encoded, so that it is one part of the path
    has_ref: bool = True
    aliases: tuple[str, ...] = ()  # words that MyST, repo2docker and people use for this provider
    hosts: tuple[str, ...] = ()  # the hosts whose addresses belong to this provider
    # The path of a page on such a host. Groups: repo; ref; file (a ref and the path of a file); page (without a ref).
    detect: str = ""


_DOI = r"10\.\d+/\S*[^\s/]"
_OWNED = r"[\w.-]+/[\w.-]+"
# In a URL the name of a repository may end in .git.
_OWNED_PATH = r"(?P<repo>[^/]+/[^/]+?)(?:\.git)?"

PROVIDERS = {
    "gh": Provider(
        "org/repo",
        _OWNED,
        aliases=("github",),
        hosts=("github.com",),
        detect=_OWNED_PATH + r"(?:/(?:tree|commits?|releases/tag)/(?P<ref>.+)|/(?:blob|raw|blame|edit)/(?P<file>.+)"
        r"|/(?P<page>issues|wiki|actions|releases|branches|tags|discussions|pulls)(?:/.*)?)?",
    ),
    "gist": Provider(
        "user/gist-id",
        _OWNED,
        hosts=("gist.github.com",),
        detect=_OWNED_PATH + r"(?:/(?P<ref>[0-9a-f]{40}))?",
    ),
    "gl": Provider(
        "group/subgroup/project",
        r"[^/\s<>@:]+(/[^/\s<>@:]+)+",
        url_encode=True,
        aliases=("gitlab",),
        hosts=("gitlab.com",),
        detect=r"(?P<repo>[^/]+(?:/(?!-/)[^/]+?)+?)(?:\.git)?(?:(?:/-)?/(?:tree|commits?|tags)/(?P<ref>.+)"
        r"|(?:/-)?/(?:blob|raw|blame|edit)/(?P<file>.+)|/-/(?P<page>issues|wikis|pipelines|tags|branches)(?:/.*)?)?",
    ),
    "git": Provider(
        "a URL that git can clone",
        r"[a-z][a-z+.-]*://[^/\s]*/\S+|[\w.-]+@[\w.-]+:\S+",
        url_encode=True,
        hosts=("bitbucket.org", "codeberg.org"),
        detect=r"(?P<repo>[^/]+/[^/]+)(?:/src/(?:(?:branch|tag|commit)/)?(?P<file>.+))?",
    ),
    "zenodo": Provider("a DOI like 10.5281/zenodo.3242074", _DOI, has_ref=False),
    "figshare": Provider("a DOI like 10.6084/m9.figshare.9782777.v1", _DOI, has_ref=False),
    "dataverse": Provider("a DOI like 10.7910/DVN/TJCLKP", _DOI, has_ref=False),
    "hydroshare": Provider(
        "a resource's id or URL",
        r"\S+",
        url_encode=True,
        has_ref=False,
        hosts=("hydroshare.org",),
        detect=r"resource/(?P<repo>[0-9a-f]{32})",
    ),
    "ckan": Provider("a dataset's URL", r"https?://\S+/dataset/\S+", url_encode=True, has_ref=False),
}

# A provider that clinder does not know, but the hub may: its repository is one part of the path.
_UNKNOWN = Provider("whatever the hub's provider reads", r"\S+", url_encode=True)

_NAMES = {word: name for name, provider in PROVIDERS.items() for word in (name, *provider.aliases)}
_BY_HOST = {host: name for name, provider in PROVIDERS.items() for host in provider.hosts}

_HINT = (
    "Expected org/repo, a repository's URL (https://github.com/org/repo, https://gitlab.com/group/project), or a DOI."
)


def provider_named(word: str) -> str:
    """Return BinderHub's name of a provider, from that name or another tool's name.

    An unknown name is returned unchanged, because the hub may have its own providers. Raises `UsageError` for a text
    that can't be a name, and for a name that looks like a known one with a typing mistake.
    """
    word = word.lower()
    if word in _NAMES:
        return _NAMES[word]
    meant = get_close_matches(word[:40], _NAMES, 1, cutoff=0.75)
    if meant or not re.fullmatch(r"[a-z][a-z0-9_-]{0,39}", word):
        raise UsageError(
            f"Unknown provider: {quote_text(word)}",
            f"Did you mean {meant[0]}?" if meant else f"Expected one of {', '.join(PROVIDERS)}.",
        )
    return word


def provider_of(name: str) -> Provider:
    """Return the declaration of the provider with this name of BinderHub."""
    return PROVIDERS.get(name, _UNKNOWN)


class Address(NamedTuple):
    """The parts of an address; ``ref`` is empty if the address has none."""

    provider: str
    repo: str
    ref: str = ""


def recognise(text: str, provider: str | None) -> Address:
    """Recognise a repository that a person wrote; ``provider`` says how to read the text, or is None.

    Raises `UsageError`; its hint says what the person probably meant, if that can be guessed.
    """
    text = remove_user(check_length(text, "a repository"))
    if provider and (provider in ("git", "ckan") or provider not in PROVIDERS):
        return Address(provider, text)
    found = _from_doi(text, provider) or _from_short_form(text, provider) or _from_url(_to_url(text), provider)
    if found is None:
        if "://" in text or (provider is None and (is_path(text) or not re.fullmatch(rf"{_OWNED}/*", text))):
            raise UsageError(f"Not a repository: {quote_text(text)}", _hint(text))
        found = Address(provider or "gh", text.rstrip("/").removesuffix(".git"))
    if provider and found.provider != provider:
        raise UsageError(
            f"{quote_text(text)} is no repository of the provider {provider}.",
            f"Expected {PROVIDERS[provider].placeholder}, or did you mean the provider {found.provider}?",
        )
    return found


def is_repository_host(url: str) -> bool:
    """Tell whether a URL is on a host of repositories or data, and therefore not a hub's."""
    host = _host(_split(url)) if url.lower().startswith("http") else ""
    return host in {*_BY_HOST, *_MIRRORS, "zenodo.org", "figshare.com", "doi.org"}


def is_path(text: str) -> bool:
    """Tell whether text is written like the path of a file or directory of this machine."""
    return bool(re.match(r"/(?!/)|~|\.{1,2}(?:/|$)|file:", text, re.IGNORECASE))


def _hint(text: str) -> str:
    if is_path(text):
        return "A hub can't read files of this machine. Push them and give org/repo, or use the embedded hub, local."
    if match := re.fullmatch(r"\w+/(https?://[!-~]+)", text):
        return f"Did you mean {match[1][:200]} ?"
    if re.search("[<>{}]", text):
        return f"The words in brackets are to be replaced. {_HINT}"
    if match := re.fullmatch(rf"({_OWNED})(?:[,;]|\?.*)", text):
        return f"Did you mean {match[1][:200]} ?"
    if match := re.fullmatch(rf"({_OWNED})([#:/])(?:tree/|blob/)?([\w./-]+)", text):
        group = ", or the provider gl (--provider gl)" if match[2] == "/" else ""
        return f"Did you mean {match[1][:200]} with --ref {match[3][:200]}{group}?"
    return _HINT


def _from_short_form(text: str, provider: str | None) -> Address | None:
    """Recognise ``gh:org/repo`` and ``org/repo@ref``, as other tools write them."""
    if match := re.fullmatch(r"(\w+):(?!//)([^\s:]+)", text):
        name = _NAMES.get(match[1].lower(), "")
        if name and PROVIDERS[name].detect:
            return recognise(match[2], name)
    owned = r"[\w.-]+(?:/[\w.-]+)*/[\w.-]+" if provider == "gl" else _OWNED
    if provider in (None, "gh", "gl") and (match := re.fullmatch(rf"({owned}?)(?:\.git)?@([^\s:]+)", text)):
        return Address(provider or "gh", match[1], match[2]) if _to_url(text) == text else None
    return None


def _from_doi(text: str, provider: str | None) -> Address | None:
    """Recognise a DOI: bare, as a link or badge, or in the address of a page at Zenodo, figshare or a Dataverse."""
    if match := re.match(r"https?://(?:www\.)?zenodo\.org/(?:records?/(\d+)|doi/(10\.\d+/[^/?#]+))", text):
        return Address("zenodo", match[2] or f"10.5281/zenodo.{match[1]}")
    if match := re.match(r"https?://(?:www\.)?zenodo\.org/badge/doi/(10\.\d+/zenodo\.\d+)", text, re.IGNORECASE):
        return Address("zenodo", match[1])
    if match := re.match(r"https?://(?:www\.)?figshare\.com/articles/(?:[^/?#]+/)*?(\d+)(?:/(\d+))?/?(?:[?#]|$)", text):
        return Address("figshare", f"10.6084/m9.figshare.{match[1]}" + (f".v{match[2]}" if match[2] else ""))
    prefix = r"(?:doi:|https?://(?:dx\.)?doi\.org/|https?://\S+[?&]persistentId=doi:)"
    match = re.fullmatch(rf"({prefix})?({_DOI})/*", unquote(text), re.IGNORECASE)
    if not match:
        return None
    doi = match[2]
    for word in ("zenodo", "figshare"):
        if word in doi.lower():
            return Address(word, doi)
    if "/DVN/" in doi.upper() or "persistentid" in (match[1] or "").lower():
        return Address("dataverse", doi)
    if provider is None:
        raise UsageError(
            f"The provider of this DOI is not known: {quote_text(doi)}",
            "Say it with --provider zenodo, figshare or dataverse.",
        )
    return Address(provider if PROVIDERS[provider].validate_regex == _DOI else "dataverse", doi)


def _to_url(text: str) -> str:
    """Return the https address for an address over ssh or without a scheme. Any other text is returned unchanged."""
    if re.match(r"(?:ssh|git\+ssh|ssh\+git)://[\w.-]+@|[\w.-]+@[\w.-]+:", text, re.IGNORECASE):
        return to_https(text)
    if "://" not in text and re.sub(r"^www\.", "", text.partition("/")[0].lower()) in {*_BY_HOST, *_MIRRORS}:
        return f"https://{text}"
    return text


def _nbviewer(path: str) -> str | None:
    kind, _, rest = path.partition("/")
    host = {"github": "github.com", "gist": "gist.github.com"}.get(kind)
    return f"{host}/{rest}" if host and rest else None


def _raw(path: str) -> str | None:
    match = re.fullmatch(r"([^/]+/[^/]+)/(?:refs/(?:heads|tags)/)?(.+)", path)
    return f"github.com/{match[1]}/blob/{match[2]}" if match else None


# Hosts that show files of GitHub: for each, a function from a path on that host to the address on GitHub.
_MIRRORS: dict[str, Callable[[str], str | None]] = {
    "nbviewer.org": _nbviewer,
    "nbviewer.jupyter.org": _nbviewer,
    "nbviewer.ipython.org": _nbviewer,
    "colab.research.google.com": _nbviewer,
    "vscode.dev": _nbviewer,
    "github.dev": lambda path: f"github.com/{path}",
    "raw.githubusercontent.com": _raw,
}


def _split(url: str) -> SplitResult | None:
    try:
        return urlsplit(url)
    except ValueError:
        return None


def _host(parts: SplitResult | None) -> str:
    try:
        return (parts.hostname or "").removeprefix("www.") if parts else ""
    except ValueError:
        return ""


def _from_url(text: str, provider: str | None) -> Address | None:
    """Recognise a web address by its host, or by the given provider, for example for another GitLab."""
    if not re.match(r"https?://[^/]", text, re.IGNORECASE):
        return Address("git", text) if re.match(r"git://", text) else None
    parts = _split(text)
    host = _host(parts)
    if parts is None or host == "doi.org" or host.endswith(".doi.org"):
        return None
    path = unquote(parts.path).strip("/")
    if host in _MIRRORS:
        original = _MIRRORS[host](path)
        if original is None:
            raise UsageError(f"Not a repository: {quote_text(text)}", _HINT)
        host, _, path = original.partition("/")
    name = _BY_HOST.get(host) or (provider if provider and PROVIDERS[provider].detect else "git")
    if host not in _BY_HOST and name == "git":
        if host in ("zenodo.org", "figshare.com"):
            raise UsageError(f"Not a repository: {quote_text(text)}", "Give its DOI, which stands on its page.")
        return _page_of_a_gitlab(parts, path) or Address("git", text)
    match = re.fullmatch(PROVIDERS[name].detect, path)
    if not match:
        raise UsageError(f"Not a repository: {quote_text(text)}", _page_hint(name, path))
    groups = match.groupdict()
    repo = f"{parts.scheme}://{parts.netloc}/{match['repo']}" if name == "git" else match["repo"]
    return Address(name, repo, _ref(groups.get("ref"), groups.get("file"), text, repo))


def _page_of_a_gitlab(parts: SplitResult, path: str) -> Address | None:
    """Recognise a page of a GitLab server other than gitlab.com: only GitLab has ``/-/`` in its addresses."""
    match = re.fullmatch(PROVIDERS["gl"].detect, path) if "/-/" in path else None
    if not match:
        return None
    repo = f"{parts.scheme}://{parts.netloc}/{match['repo']}"
    return Address("git", repo, _ref(match["ref"], match["file"], parts.geturl(), repo))


def _page_hint(provider: str, path: str) -> str:
    if re.search(r"/(pull|merge_requests|pull-requests)/\d+", path):
        return "The head of a pull request is on a branch of the fork: give that repository, and the branch with --ref."
    return f"Expected {PROVIDERS[provider].placeholder}, or its address."


# Refs that have no slash in them: a commit, and a branch that is nearly always there. git stores the branches main and
# main/x as a file and a directory of one name, so that they can't be there together.
_WHOLE_REF = r"main|master|HEAD|[0-9a-f]{40}"


def _ref(ref: str | None, file: str | None, text: str, repo: str) -> str:
    """Return the ref of an address. In an address, the path of a folder or file may follow the ref."""
    words = ref or file or ""
    first, _, rest = words.partition("/")
    if re.fullmatch(_WHOLE_REF, first):
        return first
    if file is None:
        return words
    if "/" in rest:
        raise UsageError(
            f"It is not clear where the ref ends in {quote_text(text)}", f"Did you mean {repo} with --ref {first} ?"
        )
    return first
