"""How the location of a template can be written: on the network or on this machine, and in which spellings."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from urllib.request import url2pathname

_NETWORK = re.compile(r"^(https?://|ssh://|git://|git\+(?!file:)|gh:|gl:|[\w.-]+@[\w.-]+:)")
_FILE = re.compile(r"^(git\+)?file://")
_ALIASES = {"gh:": "https://github.com/", "gl:": "https://gitlab.com/"}


def on_network(location: str) -> bool:
    """Tell whether a location is one that other machines can reach as well."""
    return _NETWORK.match(location) is not None


def is_file_url(location: str) -> bool:
    """Tell whether a location is written as a URL of this machine's files."""
    return _FILE.match(location) is not None


def local_path(location: str) -> Path | None:
    """Return where a source lies on this machine, or None for a source on the network."""
    if is_file_url(location):
        return Path(url2pathname(urlsplit(location.removeprefix("git+")).path))
    return None if on_network(location) or "://" in location else Path(location).expanduser()


def address(location: str, base: Path) -> str:
    """Return what git understands of a recorded source, read as Copier reads it; a path becomes absolute."""
    url = _written_out(location)
    if url.startswith("git+"):
        return url.removeprefix("git+")
    if url.startswith(tuple(_ALIASES.values())) and not url.endswith(".git"):
        return f"{url}.git"
    if re.match(r"[\w+.-]+://|[\w.-]+@[\w.-]+:", url):
        return url
    return str((base / Path(url).expanduser()).resolve())


def spellings(location: str) -> tuple[str, str]:
    """Return the two ways in which git may be told a location: without and with `.git` at its end."""
    bare = _written_out(location).removeprefix("git+").rstrip("/").removesuffix(".git")
    return bare, f"{bare}.git"


def recordable(location: str) -> str:
    """Return a location that Copier takes for a git repository, without a password in it; paths stay as they are."""
    if not (on_network(location) or is_file_url(location)):
        return location
    url = without_password(location)
    known = url.endswith(".git") or url.startswith(("git+", "git@", "git://", "gh:", "gl:"))
    return url if known else f"git+{url}"


def same(one: str, other: str) -> bool:
    """Tell whether two locations are one repository, however they are spelled; ssh and https are two."""
    return without_password(spellings(one)[0]) == without_password(spellings(other)[0])


def without_password(url: str) -> str:
    """Drop user and password from a web address, and the password from any: what is recorded is shared."""
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
