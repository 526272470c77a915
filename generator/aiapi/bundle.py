"""The git bundle of the template inside an installed package, and what the package says of where it came from."""

from __future__ import annotations

import json
import tempfile
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from aiapi import git, options
from aiapi.errors import TemplateError

_ABSENT = 1  # what git returns where there is nothing of that name
PATH = options.HERE / "template.bundle"


def heads(bundle: Path) -> dict[str, str]:
    """Return the references of a bundle with their objects; empty where there is no bundle, or a broken one."""
    if not bundle.is_file():
        return {}
    listed = git.ask("bundle", "list-heads", str(bundle), cwd=bundle.parent) or ""
    return {name: commit for commit, _, name in (line.partition(" ") for line in listed.splitlines())}


def knows(bundle: Path, described: str) -> bool:
    """Tell whether a bundle has the commit that a tag, a hash or what `git describe` says stands for."""
    if f"refs/tags/{described}" in heads(bundle):
        return True
    with tempfile.TemporaryDirectory(prefix="aiapi-bundle-") as folder:
        git.attempt("clone", "--quiet", "--bare", "--", str(bundle), folder, cwd=bundle.parent)
        return commit_of(described, Path(folder)) is not None


def commit_of(described: str, repository: Path) -> str | None:
    """Return the commit that a tag, a hash or what `git describe` says stands for in a repository.

    Raises:
        TemplateError: When git cannot read the repository.
    """
    words = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{described}^{{commit}}")
    found = git.attempt(git.at(repository), *words, cwd=repository)
    if found.returncode not in (0, _ABSENT):
        reason = " ".join(found.stderr.split())
        raise TemplateError(f"git cannot read the template at {repository}: {reason}", remedy="Check the source.")
    return found.stdout.strip() or None


def origin() -> dict[str, Any]:
    """Return the installer's record of where it took the package from (PEP 610); empty for an index."""
    try:
        record = json.loads(distribution("aiapi").read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def canonical_url() -> str | None:
    """Return the address of the published repository, as the package names it."""
    try:
        entries = distribution("aiapi").metadata.get_all("Project-URL") or []
    except PackageNotFoundError:
        return None
    links = dict(entry.split(", ", 1) for entry in entries)
    return links.get("Repository")
