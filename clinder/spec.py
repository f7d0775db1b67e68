"""What to launch: a provider, a repository and a ref; how the three are written and read. No network.

The encodings are those that BinderHub's repo providers decode (binderhub/repoproviders.py): a hub splits the raw path
of the request at slashes, so what is one word for it must have its own slashes encoded.
"""

import re
from typing import NamedTuple
from urllib.parse import quote, unquote, urlsplit

from clinder.errors import UsageError

DEFAULT_HUB = "https://mybinder.org/"


class _Provider(NamedTuple):
    """How one provider's specs look."""

    expected: str  # what a repository looks like, for a person
    pattern: str  # ... for a machine
    encoded: bool  # whether the repository is one word of the path, its slashes encoded
    has_ref: bool


_DOI = r"10\.\d+/\S*[^\s/]"
_OWNED = r"[^/\s]+/[^/\s]+"

PROVIDERS = {
    "gh": _Provider("org/repo", _OWNED, encoded=False, has_ref=True),
    "gist": _Provider("user/gist-id", _OWNED, encoded=False, has_ref=True),
    "gl": _Provider("group/subgroup/project", r"[^/\s]+(/[^/\s]+)+", encoded=True, has_ref=True),
    "git": _Provider(
        "a URL that git can clone", r"[a-z][a-z+.-]*://[^/\s]*/\S+|[\w.-]+@[\w.-]+:\S+", encoded=True, has_ref=True
    ),
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
    hint = "Expected an address like https://example.org/, of visible ASCII characters, without a query or fragment."
    try:
        parts = urlsplit(url)
        valid = bool(
            re.fullmatch(r"[!-~]+", url)
            and parts.scheme in ("http", "https")
            and re.fullmatch(r"[\w-]+(\.[\w-]+)*\.?|[\da-f:.]+", parts.hostname or "")
            and parts.port != 0
            and not re.search(r"[?#\\]", url)
        )
    except ValueError:
        valid = False
    if not valid:
        raise UsageError(f"Not {what}" + ("." if secret else f": {_quoted(url)}"), hint)
    if parts.username is not None:
        raise UsageError(f"A user name or password in {what} is not supported.", hint)
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
        if not re.fullmatch(kind.pattern, repo) or not _is_plain(repo):
            raise UsageError(
                f"Not a repository of the provider {provider}: {_quoted(repo)}", f"Expected {kind.expected}."
            )
        if re.match(r"https?://[^/]*@|[^/]*//[^/@]*:[^/@]*@", repo, re.IGNORECASE):
            raise UsageError(
                "A password or token in a repository's URL would be shown to everybody.",
                "Hubs launch public repositories.",
            )
        if not kind.has_ref and ref != "HEAD":
            raise UsageError(
                f"The provider {provider} has no refs, but {_quoted(ref)} was given.",
                f"Leave the ref out: {kind.expected} says which version it is.",
            )
        if not re.fullmatch(r"[^/]+(/[^/]+)*", ref) or not _is_plain(ref) or (provider == "gist" and "/" in ref):
            raise UsageError(f"Not a ref: {_quoted(ref)}", "Expected a branch, a tag or a commit.")
        return super().__new__(cls, repo, ref, provider)

    @classmethod
    def parse(cls, text: str, ref: str | None = None, provider: str | None = None) -> "RepoSpec":
        """Return the spec of a repository as people write it.

        ``text`` is a provider's own form (``org/repo``), a URL as it is in the browser's address line or as git clones
        it, or a DOI. A ref in the URL (``/tree/<ref>``) counts unless ``ref`` is given; a provider is guessed unless
        ``provider`` is given. Raises `UsageError`.
        """
        found = _recognise(text.strip(), provider_named(provider) if provider else None)
        return cls(found.repo, ref or found.ref or "HEAD", found.provider)

    def at(self, ref: str) -> "RepoSpec":
        """Return the same repository at another ref."""
        return RepoSpec(self.repo, ref, self.provider)

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
    if re.fullmatch(r"[\w-]+(\.[\w-]+)+(:\d+)?(/[!-~]*)?", text):
        raise UsageError(f"Not a BinderHub's URL: {_quoted(text)}", f"Did you mean https://{text} ?")
    address = re.split(r"[?#]", text, maxsplit=1)[0]
    hub, link, path = address.partition("/v2/")
    return check_url(hub, "a BinderHub's URL"), parse_path(path) if link else None


class _Found(NamedTuple):
    provider: str
    repo: str
    ref: str = ""


def _recognise(text: str, provider: str | None) -> _Found:
    """Tell what a person wrote for a repository; ``provider`` is how to read it, if that was said."""
    if match := re.match(r"(https?://)[^/:@]+@(?=[^/@]+/)", text, re.IGNORECASE):
        text = match[1] + text[match.end() :]  # the name that a host's own button for copying puts there
    if provider in ("git", "ckan"):
        return _Found(provider, text)
    if match := re.fullmatch(r"(?:ssh://[\w.-]+@([\w.-]+)(?::\d+)?/|[\w.-]+@([\w.-]+):)(\S+)", text):
        text = f"https://{match[1] or match[2]}/{match[3]}"  # a hub has no key, but the same over https may be public
    found = _doi(text, provider) or _url(text, provider)
    if found is None:
        if "://" in text or (provider is None and not re.fullmatch(_OWNED, text)):
            raise UsageError(f"Not a repository: {_quoted(text)}", _HINT)
        found = _Found(provider or "gh", text.removesuffix(".git"))
    if provider and found.provider != provider:
        raise UsageError(
            f"{_quoted(text)} is no repository of the provider {provider}.",
            f"Expected {PROVIDERS[provider].expected}, or did you mean the provider {found.provider}?",
        )
    return found


def _doi(text: str, provider: str | None) -> _Found | None:
    """Recognise a DOI: bare, as a link, or in the address of a page at Zenodo or of a Dataverse."""
    if match := re.match(r"https?://(?:www\.)?zenodo\.org/(?:records?/(\d+)|doi/(10\.\d+/[^/?#]+))", text):
        return _Found("zenodo", match[2] or f"10.5281/zenodo.{match[1]}")
    prefix = r"(?:doi:|https?://(?:dx\.)?doi\.org/|https?://\S+[?&]persistentId=doi:)"
    match = re.fullmatch(rf"({prefix})?({_DOI})/*", unquote(text), re.IGNORECASE)
    if not match:
        return None
    doi = match[2]
    for word in ("zenodo", "figshare"):
        if word in doi.lower():
            return _Found(word, doi)
    if "/DVN/" in doi.upper() or "persistentid" in (match[1] or "").lower():
        return _Found("dataverse", doi)
    if provider is None:
        raise UsageError(f"Whose DOI is this? {_quoted(doi)}", "Say it with --provider zenodo, figshare or dataverse.")
    return _Found(provider if PROVIDERS[provider].pattern == _DOI else "dataverse", doi)


# What is behind a host's name: the provider, and the form of its paths, with the repository and perhaps a ref.
_HOSTS = {
    "github.com": ("gh", r"([^/]+/[^/]+?)(?:\.git)?(?:/(?:tree|commit)/(.+))?"),
    "gist.github.com": ("gist", r"([^/]+/[^/]+?)(?:\.git)?(?:/([0-9a-f]{40}))?"),
    "gitlab.com": ("gl", r"([^/]+(?:/(?!-/)[^/]+?)+?)(?:\.git)?(?:(?:/-)?/(?:tree|commits?)/(.+))?"),
    "hydroshare.org": ("hydroshare", r"resource/([0-9a-f]{32})()"),
}


def _url(text: str, provider: str | None) -> _Found | None:
    """Recognise a web address by its host, or by the provider that was named for it: there are other GitLabs."""
    if not re.match(r"https?://[^/]", text, re.IGNORECASE):
        return _Found("git", text) if re.match(r"git://", text) else None
    try:
        parts = urlsplit(text)
        host = (parts.hostname or "").removeprefix("www.")
    except ValueError:
        return None
    kinds = dict(_HOSTS.values())
    if host in _HOSTS:
        kind, pattern = _HOSTS[host]
    elif host.endswith("doi.org"):
        return None
    elif provider in kinds:
        kind, pattern = provider, kinds[provider]
    else:
        return _Found("git", text)
    match = re.fullmatch(pattern, unquote(parts.path).strip("/"))
    if not match:
        raise UsageError(f"Not a repository: {_quoted(text)}", f"Expected {PROVIDERS[kind].expected}, or its address.")
    return _Found(kind, match[1], match[2] or "")


def _is_plain(text: str) -> bool:
    """Tell whether text can go into a URL and onto a terminal: nothing invisible, and no path to somewhere else."""
    if re.search(r"[\s\x00-\x20\x7f-\xa0\ud800-\udfff]", text):
        return False
    return not {".", ".."} & set(text.split("/"))


def _quoted(text: str) -> str:
    """Return text as an error shows it: short, no password, and nothing in it that a terminal would obey."""
    text = re.sub(r"[^/\s]+@", "...@", text)
    return repr(text if len(text) <= 200 else text[:200] + "...")
