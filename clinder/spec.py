"""What to launch: a provider, a repository and a ref; how the three are written and read. No network.

The encodings are those that BinderHub's repo providers decode (binderhub/repoproviders.py): a hub splits the raw path
of the request at slashes, so what is one word for it must have its own slashes encoded.
"""

import re
from typing import NamedTuple
from urllib.parse import quote, unquote, urlsplit

from clinder.errors import UsageError


class _Provider(NamedTuple):
    """How one provider's specs look."""

    expected: str  # what a repository looks like, for a person
    pattern: str  # ... for a machine
    encoded: bool  # whether the repository is one word of the path, its slashes encoded
    has_ref: bool


_DOI = r"10\.\d+/\S+"

PROVIDERS = {
    "gh": _Provider("org/repo", r"[^/\s]+/[^/\s]+", encoded=False, has_ref=True),
    "gist": _Provider("user/gist-id", r"[^/\s]+/[^/\s]+", encoded=False, has_ref=True),
    "gl": _Provider("group/subgroup/project", r"[^/\s]+(/[^/\s]+)+", encoded=True, has_ref=True),
    "git": _Provider("a URL that git can clone", r"\S+", encoded=True, has_ref=True),
    "zenodo": _Provider("a DOI like 10.5281/zenodo.3242074", _DOI, encoded=False, has_ref=False),
    "figshare": _Provider("a DOI like 10.6084/m9.figshare.9782777.v1", _DOI, encoded=False, has_ref=False),
    "dataverse": _Provider("a DOI like 10.7910/DVN/TJCLKP", _DOI, encoded=False, has_ref=False),
    "hydroshare": _Provider("a resource's id or URL", r"\S+", encoded=True, has_ref=False),
    "ckan": _Provider("a dataset's URL", r"https?://\S+/dataset/\S+", encoded=True, has_ref=False),
}

# The words that MyST, repo2docker and people use for the same providers.
_ALIASES = {"github": "gh", "gitlab": "gl"}

_HINT = (
    "Expected org/repo, a repository's URL (https://github.com/org/repo, https://gitlab.com/group/project), or a DOI."
)


def check_url(url: str, what: str, *, secret: bool = False) -> str:
    """Return url with a slash at its end; raise `UsageError` unless it is a plain http(s) address.

    ``what`` it should be is for the message, which repeats the url unless that may be or hold a ``secret``.
    """
    try:
        parts = urlsplit(url)
        plain = bool(re.fullmatch(r"[!-~]+", url) and parts.scheme in ("http", "https") and parts.hostname)
        plain = plain and (parts.port is None or parts.port > 0) and not re.search(r"[?#]", url)
    except ValueError:
        plain = False
    if not plain:
        raise UsageError(
            f"Not {what}" + ("." if secret else f": {_quoted(url)}"),
            "Expected an address like https://example.org/, of visible ASCII characters, without a query or fragment.",
        )
    if parts.username is not None:
        raise UsageError(f"A user name or password in {what} is not supported.")
    return url.rstrip("/") + "/"


def provider_named(word: str) -> str:
    """Return BinderHub's word for a provider, from that or another tool's word. Raises `UsageError`."""
    name = _ALIASES.get(word.lower(), word.lower())
    if name not in PROVIDERS:
        raise UsageError(f"Unknown provider: {_quoted(word)}", f"Expected one of {', '.join(PROVIDERS)}.")
    return name


class _Spec(NamedTuple):
    repo: str
    ref: str
    provider: str


class RepoSpec(_Spec):
    """A repository as a hub names it: ``repo`` in the provider's own form (see `PROVIDERS`), at ``ref``.

    ``ref`` is a branch (slashes are fine), a tag or a commit; HEAD is the default branch. Providers of DOIs and data
    sets have no refs. Raises `UsageError` for what no hub would understand.
    """

    __slots__ = ()

    def __new__(cls, repo: str, ref: str = "HEAD", provider: str = "gh") -> "RepoSpec":
        provider = provider_named(provider)
        kind = PROVIDERS[provider]
        if not re.fullmatch(kind.pattern, repo):
            raise UsageError(
                f"Not a repository of the provider {provider}: {_quoted(repo)}", f"Expected {kind.expected}."
            )
        if not ref or re.search(r"[\x00-\x20\x7f]", ref):
            raise UsageError(f"Not a ref: {_quoted(ref)}", "Expected a branch, a tag or a commit.")
        if not kind.has_ref and ref != "HEAD":
            raise UsageError(
                f"The provider {provider} has no refs, but {_quoted(ref)} was given.",
                f"Leave the ref away: {kind.expected} says which version it is.",
            )
        return super().__new__(cls, repo, ref, provider)

    @classmethod
    def parse(cls, text: str, ref: str | None = None, provider: str | None = None) -> "RepoSpec":
        """Return the spec of a repository as people write it.

        ``text`` is a provider's own form (``org/repo``), a URL as it is in the browser's address line or as git clones
        it, or a DOI. A ref in the URL (``/tree/<ref>``) counts unless ``ref`` is given; a provider is guessed unless
        ``provider`` is given. Raises `UsageError`.
        """
        text = text.strip()
        provider = provider_named(provider) if provider else None
        if provider in ("git", "ckan"):
            return cls(text, ref or "HEAD", provider)
        for recognise in (_doi, _ssh, _url):
            if found := recognise(text, provider):
                return cls(found.repo, ref or found.ref or "HEAD", provider or found.provider)
        if "://" in text:
            raise UsageError(f"Not a repository: {_quoted(text)}", _HINT)
        if provider is None and not re.fullmatch(PROVIDERS["gh"].pattern, text):
            raise UsageError(f"Not a repository: {_quoted(text)}", _HINT)
        return cls(text, ref or "HEAD", provider or "gh")

    @property
    def path(self) -> str:
        """``<provider>/<spec>``, encoded: what follows ``build/`` and ``v2/`` in a hub's URLs."""
        kind = PROVIDERS[self.provider]
        repo = quote(self.repo, safe="" if kind.encoded else "/")
        return f"{self.provider}/{repo}" + (f"/{quote(self.ref, safe='/')}" if kind.has_ref else "")

    def launch_link(self, hub: str) -> str:
        """Return the link that launches this in a browser, as on a badge; ``hub`` is a hub's URL."""
        return f"{hub.rstrip('/')}/v2/{self.path}"

    def __str__(self) -> str:
        return unquote(self.path)


def parse_path(path: str) -> RepoSpec:
    """Return the spec of an encoded ``<provider>/<spec>``, as in a launch link. Raises `UsageError`."""
    provider, _, spec = path.strip("/").partition("/")
    kind = PROVIDERS[provider_named(provider)]
    parts = spec.split("/")
    words = len(parts) if not kind.has_ref else 1 if kind.encoded else 2
    repo, ref = "/".join(parts[:words]), "/".join(parts[words:])
    return RepoSpec(unquote(repo), unquote(ref) or "HEAD", provider)


def parse_hub(text: str) -> tuple[str, RepoSpec | None]:
    """Return a hub's URL, and the spec if text is a launch link (``https://hub/v2/gh/org/repo/ref?urlpath=...``).

    What a link says beyond that (urlpath, filepath, labpath) is about the browser and is left out. Raises `UsageError`.
    """
    text = text.strip()
    if "://" not in text and re.match(r"[\w-]+(\.[\w-]+)+(:\d+)?(/|$)", text):
        raise UsageError(f"Not a BinderHub's URL: {_quoted(text)}", f"Did you mean https://{text} ?")
    address = re.split(r"[?#]", text, maxsplit=1)[0]
    hub, link, path = address.partition("/v2/")
    return check_url(hub, "a BinderHub's URL"), parse_path(path) if link else None


class _Found(NamedTuple):
    provider: str
    repo: str
    ref: str = ""


def _doi(text: str, provider: str | None) -> _Found | None:
    """Recognise a DOI, bare or as a link, and a Zenodo record's own address."""
    if match := re.fullmatch(r"https?://(?:www\.)?zenodo\.org/records?/(\d+)(?:[/?#].*)?", text):
        return _Found("zenodo", f"10.5281/zenodo.{match[1]}")
    match = re.fullmatch(rf"(?:doi:|https?://(?:dx\.)?doi\.org/)?({_DOI})", text)
    if not match:
        return None
    doi = match[1]
    for word in ("zenodo", "figshare"):
        if word in doi.lower():
            return _Found(word, doi)
    if provider is None and "/DVN/" not in doi.upper():
        raise UsageError(f"Whose DOI is this? {_quoted(doi)}", "Say it with --provider zenodo, figshare or dataverse.")
    return _Found("dataverse", doi)


def _ssh(text: str, provider: str | None) -> _Found | None:
    """Recognise what git clones over ssh: ``git@host:org/repo.git`` and ``ssh://git@host/org/repo.git``."""
    match = re.fullmatch(r"(?:ssh://)?[\w.-]+@([\w.-]+)(?::\d+)?[:/](\S+)", text)
    if not match or "://" in match[2]:
        return None
    return _url(f"https://{match[1]}/{match[2]}", provider)


def _url(text: str, provider: str | None) -> _Found | None:
    """Recognise a web address by its host, or by the provider that was named for it."""
    if not re.match(r"https?://", text):
        return _Found("git", text) if re.match(r"(git|ssh)://\S", text) else None
    try:
        parts = urlsplit(text)
    except ValueError:
        return None
    host = (parts.hostname or "").removeprefix("www.")
    home = _HOSTS.get(host)
    if provider and home and home != provider:
        raise UsageError(f"{_quoted(text)} is no repository of the provider {provider}.", f"Did you mean {home}?")
    kind = provider or home
    path = unquote(parts.path).strip("/")
    if kind == "gh":
        return _git_host(text, kind, path, r"([^/]+/[^/]+?)(?:\.git)?(?:/(?:tree|commit)/(.+))?")
    if kind == "gl":
        return _git_host(text, kind, path, r"(.+?)(?:\.git)?(?:/-?/?(?:tree|commits?)/(.+))?")
    if kind == "gist":
        return _git_host(text, kind, path, r"([^/]+/[^/]+?)(?:\.git)?(?:/([0-9a-f]{40}))?")
    if kind == "hydroshare":
        return _Found(kind, path.removeprefix("resource/"))
    return _Found("git", text) if kind is None else None


_HOSTS = {
    "github.com": "gh",
    "gist.github.com": "gist",
    "gitlab.com": "gl",
    "hydroshare.org": "hydroshare",
}


def _git_host(text: str, provider: str, path: str, pattern: str) -> _Found:
    match = re.fullmatch(pattern, path)
    if not match:
        raise UsageError(f"Not a repository: {_quoted(text)}", _HINT)
    return _Found(provider, match[1], match[2] or "")


def _quoted(text: str) -> str:
    """Return text as an error shows it: short, and nothing in it that a terminal would obey."""
    return repr(text if len(text) <= 200 else text[:200] + "...")
