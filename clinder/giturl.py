"""Change addresses of git repositories: from ssh to https, without a login, and safe to quote in a message.

Pure functions over text. This module knows no provider, hub, file or network. It stands below `clinder.spec`, because
it is needed for addresses from people, CI's variables, myst.yml and a checkout's remotes.
"""

import re

from clinder.errors import UsageError

MAX_LENGTH = 2000  # characters; a longer address, repository or ref is refused before a pattern is applied to it

# Hosts for git over ssh on the port of https, and their usual names.
_SSH_HOSTS = {"ssh.github.com": "github.com", "altssh.gitlab.com": "gitlab.com"}


def pasted(text: str) -> str:
    """Return text without blanks and quotes around it, which come along when people copy it from a document."""
    return text.strip().strip("\"'`\u2018\u2019\u201a\u201c\u201d\u201e\u00ab\u00bb").strip()


def check_length(text: str, name: str) -> str:
    """Return text. Raises `UsageError` if it is longer than any address; ``name`` is the noun for it in the message."""
    if len(text) > MAX_LENGTH:
        raise UsageError(
            f"Not {name}: {quote_text(text)}", f"It has {len(text):,} characters; {MAX_LENGTH:,} is the limit."
        )
    return text


def remove_login(url: str) -> str:
    """Return a URL without the user and password that a CI or a credential helper may have put there."""
    scheme, slashes, rest = url.partition("://")
    if not slashes or not re.fullmatch(r"\w[\w+.-]*", scheme):
        return url
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


def remove_user(url: str) -> str:
    """Return an http(s) URL without the user name that a host's button for copying may have put there.

    A URL with a password is not changed, so that its user gets an error about the password.
    """
    if match := re.match(r"(https?://)[^/:@]+@(?=[^/@]+/)", url, re.IGNORECASE):
        return match[1] + url[match.end() :]
    return url


def to_https(url: str) -> str:
    """Return the https address for an address over ssh, because a hub has no key; any other URL without its login.

    The forms are those of git-clone(1), "GIT URLS".
    """
    url = remove_login(url)
    if len(url) > MAX_LENGTH:
        return url
    match = re.fullmatch(r"(?:ssh|git\+ssh|ssh\+git)://([\w.-]+)(?::\d*)?/+(\S+)", url, re.IGNORECASE)
    match = match or re.fullmatch(r"(?:[\w.-]+@)?([\w.-]+):(?!//)/*(\S+)", url)
    return f"https://{_SSH_HOSTS.get(match[1].lower(), match[1])}/{match[2]}" if match else url


def quote_text(text: str) -> str:
    """Return text in quotes for a message: short, without a password, and without control characters."""
    words = re.sub(r"[^/\s]+", lambda word: "...@" * ("@" in word[0]) + word[0].rpartition("@")[2], text[:MAX_LENGTH])
    return repr(words if len(words) <= 200 else words[:200] + "...")
