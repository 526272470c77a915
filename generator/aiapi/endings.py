"""The line ends of files as git keeps them: by a project's attributes they may be others than in its working tree."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from aiapi import git

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

_ATTRIBUTES = ("text", "eol")


def converted(folder: Path, paths: Iterable[str]) -> frozenset[str]:
    """Return those of the paths whose line ends git converts, as `.gitattributes` in the folder tell it to."""
    listed = "\0".join(sorted(paths))
    words = ("check-attr", "-z", "--stdin", *_ATTRIBUTES)
    told = git.attempt(*words, cwd=folder, given=listed, extra=git.plain(os.environ)).stdout.split("\0")
    values = {(path, name): value for path, name, value in zip(told[::3], told[1::3], told[2::3], strict=False)}
    return frozenset(
        path
        for path, name in values
        if name == "text"
        and (
            values[path, "text"] in {"set", "auto"}
            or (values[path, "text"] == "unspecified" and values[path, "eol"] in {"lf", "crlf"})
        )
    )


def kept(tree: Mapping[str, bytes], converted: frozenset[str]) -> dict[str, bytes]:
    """Return a tree as git keeps it: `converted` files that are text have the line ends of Unix."""
    return {path: _unix(content) if path in converted else content for path, content in tree.items()}


def _unix(content: bytes) -> bytes:
    # git leaves alone what has a zero byte: it is no text.
    return content if b"\0" in content else content.replace(b"\r\n", b"\n")
