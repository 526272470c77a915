"""The git bundle of the template in an installed package, and the record of where the package came from."""

from __future__ import annotations

import json
import tempfile
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from aiapi import git, options
from aiapi.errors import TemplateError

_ABSENT = 1  # git's exit code if the name does not exist
PATH = options.HERE / "template.bundle"


def heads(bundle: Path) -> dict[str, str]:
    """Return the references of a bundle with their commits; empty if it is missing or broken."""
    if not bundle.is_file():
        return {}
    listed = git.output("bundle", "list-heads", str(bundle), cwd=bundle.parent) or ""
    return {name: commit for commit, _, name in (line.partition(" ") for line in listed.splitlines())}


def knows(bundle: Path, described: str) -> bool:
    """Tell whether a bundle contains the commit of a tag, hash or `git describe` output."""
    if f"refs/tags/{described}" in heads(bundle):
        return True
    with tempfile.TemporaryDirectory(prefix="aiapi-bundle-") as folder:
        git.run("clone", "--quiet", "--bare", "--", str(bundle), folder, cwd=bundle.parent)
        return commit_of(described, Path(folder)) is not None


def commit_of(described: str, repository: Path) -> str | None:
    """Return the commit of a tag, hash or `git describe` output in a repository, or None.

    Raises:
        TemplateError: If git cannot read the repository.
    """
    words = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{described}^{{commit}}")
    found = git.run(git.repository_option(repository), *words, cwd=repository)
    if found.returncode not in (0, _ABSENT):
        problem = f"git cannot read the template at {repository}: {git.reason(found)}"
        raise TemplateError(problem, remedy="Check the source.")
    return found.stdout.strip() or None


def origin() -> dict[str, Any]:
    """Return the installer's record of the package's origin (PEP 610); empty for a package from an index."""
    try:
        record = json.loads(distribution("aiapi").read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def canonical_url() -> str | None:
    """Return the URL of the published repository from the package's metadata."""
    try:
        entries = distribution("aiapi").metadata.get_all("Project-URL") or []
    except PackageNotFoundError:
        return None
    links = dict(entry.split(", ", 1) for entry in entries)
    return links.get("Repository")
