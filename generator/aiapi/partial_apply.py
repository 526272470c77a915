"""Find out which changes of an outcome git has applied to a project before it was stopped."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from hashlib import sha1
from typing import TYPE_CHECKING

from aiapi import git

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from aiapi.project import Project

_ABSENT = ("000000", "0" * 40)


@dataclass(frozen=True)
class ChangedPath:
    """A path, relative to the repository, that an outcome changes: git's mode and blob, before and after."""

    path: str
    before: tuple[str, str]
    after: tuple[str, str]

    def is_applied(self, mode: str, blob: str) -> bool:
        """Tell whether a file with this mode and blob is the outcome's; modes count only if the blob is unchanged."""
        return blob == self.after[1] and (blob != self.before[1] or mode == self.after[0])


def applied_paths(tree: str, project: Project) -> set[str]:
    """Return the paths at which git has begun to replace the last commit with `tree`.

    Such a path holds the tree's file, complete or truncated, or no file any more; everything else is the user's work.
    """
    changed = {each.path: each for each in _changed_paths(tree, project)}
    files = {path: project.top / path for path in changed}
    missing = {path for path, each in changed.items() if each.before != _ABSENT and not os.path.lexists(files[path])}
    found = _modes_and_blobs(files, project.top)
    complete = {path for path in found if changed[path].is_applied(*found[path])}
    others = {path for path in found if found[path][1] not in {changed[path].before[1], changed[path].after[1]}}
    wanted = git.blob_contents((changed[path].after[1] for path in others), project.top)
    truncated = {
        path for path in others if wanted.get(changed[path].after[1], b"").startswith(files[path].read_bytes())
    }
    return missing | complete | truncated


def blob_ids(paths: Iterable[str], folder: Path) -> dict[str, str]:
    """Return the ids of the blobs that git would store for those of the paths that are regular files."""
    files = [path for path in paths if (folder / path).is_file() and not (folder / path).is_symlink()]
    quoted = "".join('"{}"\n'.format(re.sub(r'[\\"]', r"\\\g<0>", path).replace("\n", "\\n")) for path in files)
    ids = git.run("-c", "core.safecrlf=false", "hash-object", "--stdin-paths", cwd=folder, stdin=quoted).stdout
    return dict(zip(files, ids.split(), strict=False))


def _changed_paths(tree: str, project: Project) -> Iterator[ChangedPath]:
    """Yield the differences between the last commit and a tree."""
    fields = git.run("diff-tree", "-r", "-z", "--no-renames", project.head, tree, cwd=project.top).stdout.split("\0")
    for words, path in zip(fields[::2], fields[1::2], strict=False):
        modes_and_blobs = words.removeprefix(":").split()
        old_mode, new_mode, old_blob, new_blob = modes_and_blobs[:4]
        yield ChangedPath(path, (old_mode, old_blob), (new_mode, new_blob))


def _modes_and_blobs(files: Mapping[str, Path], top: Path) -> dict[str, tuple[str, str]]:
    """Return the mode and blob with which git would store each file that exists."""
    found = {
        path: ("100755" if os.access(files[path], os.X_OK) else "100644", blob)
        for path, blob in blob_ids(files, top).items()
    }
    for path, file in files.items():
        if file.is_symlink():
            target = os.fsencode(file.readlink())
            found[path] = ("120000", sha1(b"blob %d\0%b" % (len(target), target)).hexdigest())  # noqa: S324 - git's own
    return found
