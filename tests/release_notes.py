"""Reading the changelog, and telling which files of an emitted project a newer template gives up."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

HEADING = re.compile(r"^## (?P<version>\S+) — (?P<when>.+)$", re.MULTILINE)
GAINS, DUTIES = "**Your service gains**", "**You must do**"
OVERLAY = re.compile(r"\{\{ (\w+) \}\}")
ANSWERS = "{{ _copier_conf.answers_file }}"


@dataclass(frozen=True)
class Section:
    """What the changelog says of one version; `when` is a date or "unreleased"."""

    version: str
    when: str
    text: str

    @property
    def duties(self) -> str:
        """What the owner of a service has to do, and to know, to take this version."""
        return self.text.partition(DUTIES)[2]


def sections(changelog: str) -> list[Section]:
    """Return the sections of a changelog, the newest first, as they stand there."""
    headings = list(HEADING.finditer(changelog))
    ends = [*(heading.start() for heading in headings[1:]), len(changelog)]
    return [
        Section(heading["version"], heading["when"], changelog[heading.end() : end])
        for heading, end in zip(headings, ends, strict=True)
    ]


def given_up(repository: Path, old: str, new: str | None, options: Collection[Collection[str]]) -> dict[str, str]:
    """Return the paths of an emitted project that some projects lose between two trees.

    Args:
        repository: Where the trees are; the template is in its folder `template`.
        old: A commit.
        new: A commit, or None for the working tree.
        options: The overlays of each option: a file that all of one option have is in every project.

    Returns:
        Each path with the one that git takes for its new name, or with "" where it was deleted.
    """
    told = _git(repository, "diff", "-M", "--diff-filter=DR", "--name-status", "-z", old, *_tree(new), "--", "template")
    fields = iter(told.split("\0")[:-1])
    kept = _emitted(_files(repository, new))
    found: dict[str, str] = {}
    for status in fields:
        path, name = next(fields), next(fields) if status.startswith("R") else ""
        for overlay, emitted in _emitted([path]):
            if not _is_kept(overlay, emitted, kept, options):
                found[emitted] = next((target for _, target in _emitted([name])), "")
    return found


def unannounced(lost: Iterable[str], section: Section) -> list[str]:
    """Return the paths that a section's duties do not name."""
    named = {each.rstrip(".,;:") for each in re.findall(r"[^\s`()\[\]]+", section.duties)}
    return sorted(set(lost) - named)


def _is_kept(overlay: str, path: str, kept: Collection[tuple[str, str]], options: Collection[Collection[str]]) -> bool:
    """Tell whether every project that had the file from this overlay, or from none, still gets it from somewhere."""
    everywhere = ("", path) in kept or any(all((each, path) in kept for each in option) for option in options)
    return everywhere or (overlay, path) in kept


def _emitted(paths: Iterable[str]) -> set[tuple[str, str]]:
    """Translate paths of the template to overlay ("" for none) and path in a project; fragments are not emitted."""
    found = set()
    for path in filter(None, paths):
        parts = PurePosixPath(path).parts[1:]
        overlay = OVERLAY.fullmatch(parts[0])
        target = (
            "/".join(parts[1:] if overlay else parts).removesuffix(".jinja").replace(ANSWERS, ".copier-answers.yml")
        )
        if "_parts" not in parts:
            found.add((overlay[1] if overlay else "", target))
    return found


def _files(repository: Path, tree: str | None) -> list[str]:
    if tree is None:
        listed = _git(repository, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", "template")
        return [name for name in listed.split("\0") if name and (repository / name).is_file()]
    return _git(repository, "ls-tree", "-r", "-z", "--name-only", tree, "--", "template").split("\0")


def _tree(name: str | None) -> list[str]:
    return [] if name is None else [name]


def _git(repository: Path, *arguments: str) -> str:
    command = ["git", *arguments]
    return subprocess.run(command, cwd=repository, check=True, capture_output=True, text=True).stdout
