"""Helpers for the tests of existing projects: releases, commits, and a forge that does not exist."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cli.command import Command, git

FORGE = "https://forge.invalid/team/aiapi.git"
ANSWERS = ".copier-answers.yml"


def make(aiapi: Command, *arguments: str) -> Command:
    """Make the project `demo` and return the command, run in it."""
    result = aiapi("new", "demo", "--defaults", "--no-lock", *arguments)
    assert result.returncode == 0, result.stderr
    return aiapi.within(aiapi.folder / "demo")


def release(checkout: Path, version: str) -> None:
    """Add a file to the template and commit it as a release."""
    (checkout / "template" / f"{version}.md").write_text(f"{version}\n")
    commit(checkout, version)
    git(checkout, "tag", "--annotate", "--message", version, version)


def commit(folder: Path, message: str = "mine") -> None:
    """Commit everything that lies in a repository."""
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", message)


def publish(checkout: Path, aiapi: Command) -> Path:
    """Push the checkout to a forge that git finds, by its address, in a folder; returns that folder."""
    bare = checkout.with_name("forge") / Path(FORGE).name
    git(checkout, "clone", "--quiet", "--bare", ".", str(bare))
    git(checkout, "remote", "add", "origin", FORGE)
    git(checkout, "update-ref", "refs/remotes/origin/main", "HEAD")
    settings = Path(aiapi.environment["HOME"]) / ".gitconfig"
    prefix = FORGE.removesuffix(bare.name)
    settings.write_text(f'{settings.read_text()}[url "{bare.parent}/"]\n\tinsteadOf = {prefix}\n')
    return bare


def only_named_bare_repositories(aiapi: Command) -> None:
    """Set git so that it takes no folder that it happens to be in for a bare repository."""
    with (Path(aiapi.environment["HOME"]) / ".gitconfig").open("a") as settings:
        settings.write("[safe]\n\tbareRepository = explicit\n")


def run_json(aiapi: Command, *arguments: str) -> tuple[int, dict[str, Any]]:
    """Run a command with `--json`; return its exit code and its result."""
    result = aiapi(*arguments, "--json")
    assert "Traceback" not in result.stderr
    return result.returncode, json.loads(result.stdout)
