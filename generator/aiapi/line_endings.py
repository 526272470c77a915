"""Line endings as git stores them: a project's attributes may make the working tree differ."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from aiapi import git

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

_ATTRIBUTES = ("text", "eol")


def converted_paths(folder: Path, paths: Iterable[str]) -> frozenset[str]:
    """Return those of the paths whose line endings git converts, according to the folder's `.gitattributes`."""
    listed = "\0".join(sorted(paths))
    words = ("check-attr", "-z", "--stdin", *_ATTRIBUTES)
    fields = git.run(*words, cwd=folder, stdin=listed, extra=git.isolated_config(os.environ)).stdout.split("\0")
    values = {(path, name): value for path, name, value in zip(fields[::3], fields[1::3], fields[2::3], strict=False)}
    return frozenset(
        path
        for path, name in values
        if name == "text"
        and (
            values[path, "text"] in {"set", "auto"}
            or (values[path, "text"] == "unspecified" and values[path, "eol"] in {"lf", "crlf"})
        )
    )


def normalized(tree: Mapping[str, bytes], converted: frozenset[str]) -> dict[str, bytes]:
    """Return a tree as git stores it: text files among the `converted` paths get Unix line endings."""
    return {path: _unix(content) if path in converted else content for path, content in tree.items()}


def _unix(content: bytes) -> bytes:
    # git does not convert a file with a zero byte: it is not text.
    return content if b"\0" in content else content.replace(b"\r\n", b"\n")
