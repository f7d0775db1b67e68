"""Addresses of git repositories: over https instead of ssh, without a login, short enough to read, safe to quote.

Pure functions over text. This module knows how addresses are written, and no provider, hub, file or network. It stands
below `clinder.spec`, because what people type, CI's variables, myst.yml and a checkout's remotes all need it.
"""

import re

from clinder.errors import UsageError

MAX_LENGTH = 2000  # characters of an address, a repository or a ref; longer ones are refused before any pattern

# These hosts take git over ssh on the port of https under another name.
_SSH_HOSTS = {"ssh.github.com": "github.com", "altssh.gitlab.com": "gitlab.com"}


def check_length(text: str, name: str) -> str:
    """Return text; raise `UsageError` if it is longer than any address. ``name`` says what it should be."""
    if len(text) > MAX_LENGTH:
        raise UsageError(
            f"Not {name}: {quote_text(text)}", f"It has {len(text):,} characters; {MAX_LENGTH:,} is the limit."
        )
    return text


def remove_login(url: str) -> str:
    """Return a URL without the user and password that CI and credential helpers put there."""
    scheme, slashes, rest = url.partition("://")
    if not slashes or not re.fullmatch(r"\w[\w+.-]*", scheme):
        return url
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


def remove_user(url: str) -> str:
    """Return an http(s) URL without the user name that a host's own button for copying puts there.

    A URL with a password stays as it is: whoever typed it has to know.
    """
    if match := re.match(r"(https?://)[^/:@]+@(?=[^/@]+/)", url, re.IGNORECASE):
        return match[1] + url[match.end() :]
    return url


def to_https(url: str) -> str:
    """Return the web address of what git clones over ssh, for a hub has no key. Any other URL without its login.

    The forms are those of git-clone(1), "GIT URLS".
    """
    url = remove_login(url)
    if len(url) > MAX_LENGTH:
        return url
    match = re.fullmatch(r"(?:ssh|git\+ssh|ssh\+git)://([\w.-]+)(?::\d*)?/+(\S+)", url, re.IGNORECASE)
    match = match or re.fullmatch(r"(?:[\w.-]+@)?([\w.-]+):(?!//)/*(\S+)", url)
    return f"https://{_SSH_HOSTS.get(match[1].lower(), match[1])}/{match[2]}" if match else url


def quote_text(text: str) -> str:
    """Return text as an error shows it: short, without a password, and with nothing that a terminal would obey."""
    words = re.sub(r"[^/\s]+", lambda word: "...@" * ("@" in word[0]) + word[0].rpartition("@")[2], text[:MAX_LENGTH])
    return repr(words if len(words) <= 200 else words[:200] + "...")
