"""Parse and normalize the locations of templates: URLs, aliases and paths."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from urllib.request import url2pathname

_NETWORK = re.compile(r"^(https?://|ssh://|git://|git\+(?!file:)|gh:|gl:|[\w.-]+@[\w.-]+:)")
_FILE = re.compile(r"^(git\+)?file://")
_ALIASES = {"gh:": "https://github.com/", "gl:": "https://gitlab.com/"}


def on_network(location: str) -> bool:
    """Tell whether other machines can also reach a location."""
    return _NETWORK.match(location) is not None


def is_file_url(location: str) -> bool:
    """Tell whether a location is a file URL."""
    return _FILE.match(location) is not None


def local_path(location: str) -> Path | None:
    """Return the path of a source on this machine, or None for a source on the network."""
    if is_file_url(location):
        return Path(url2pathname(urlsplit(location.removeprefix("git+")).path))
    return None if on_network(location) or "://" in location else Path(location).expanduser()


def address(location: str, base: Path) -> str:
    """Translate a recorded source, read as Copier reads it, into a form for git; a path becomes absolute."""
    url = _written_out(location)
    if url.startswith("git+"):
        return url.removeprefix("git+")
    if url.startswith(tuple(_ALIASES.values())) and not url.endswith(".git"):
        return f"{url}.git"
    if re.match(r"[\w+.-]+://|[\w.-]+@[\w.-]+:", url):
        return url
    return str((base / Path(url).expanduser()).resolve())


def spellings(location: str) -> tuple[str, str]:
    """Return a location in the two forms in which git may get it: without and with a final `.git`."""
    bare = _written_out(location).removeprefix("git+").rstrip("/").removesuffix(".git")
    return bare, f"{bare}.git"


def recordable(location: str) -> str:
    """Return a location without a password, in a form that Copier takes for a git repository; paths are unchanged."""
    if not (on_network(location) or is_file_url(location)):
        return location
    url = without_password(location)
    known = url.endswith(".git") or url.startswith(("git+", "git@", "git://", "gh:", "gl:"))
    return url if known else f"git+{url}"


def same(one: str, other: str) -> bool:
    """Tell whether two locations are the same repository, whatever their spelling; ssh and https differ."""
    return without_password(spellings(one)[0]) == without_password(spellings(other)[0])


def without_password(url: str) -> str:
    """Drop user and password from a web URL, and the password from any URL, as recorded locations are shared."""
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    if not at:
        return url
    web = parts.scheme.removeprefix("git+") in {"http", "https"}
    return urlunsplit(parts._replace(netloc=host if web else f"{user.partition(':')[0]}@{host}"))


def _written_out(location: str) -> str:
    for alias, host in _ALIASES.items():
        if location.startswith(alias):
            return host + location.removeprefix(alias).lstrip("/")
    return location
