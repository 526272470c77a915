"""The command with the template of this repository."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from cli.command import copy_with_copier, git, tree

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cli.command import Command

CHOICES = ["--vector-store", "qdrant", "--task-queue", "arq"]


@pytest.fixture
def aiapi(real_checkout: Path, command_from: Callable[[Path], Command]) -> Command:
    """The command, run from a checkout of this repository."""
    return command_from(real_checkout)


@pytest.mark.parametrize("choices", [[], CHOICES], ids=["defaults", "qdrant-arq"])
def test_the_same_bytes_come_from_plain_copier(aiapi: Command, real_checkout: Path, choices: list[str]) -> None:
    result = aiapi("new", "demo", "--defaults", "--no-lock", *choices)
    assert result.returncode == 0, result.stderr
    data = [f"{flag[2:].replace('-', '_')}={value}" for flag, value in zip(choices[::2], choices[1::2], strict=True)]
    plain = copy_with_copier(aiapi, real_checkout, data)
    assert tree(aiapi.folder / "demo") == tree(plain)
    assert sorted(git(aiapi.folder / "demo", "ls-files").splitlines()) == sorted(tree(plain))


def test_git_is_not_started_for_every_file(aiapi: Command) -> None:
    trace = aiapi.folder.with_name("git.trace")
    assert aiapi("new", "demo", "--defaults", "--no-lock", GIT_TRACE=str(trace)).returncode == 0
    started = [line for line in trace.read_text().splitlines() if " built-in: git " in line]
    assert len(started) < len(tree(aiapi.folder / "demo")) / 4


def test_a_dry_run_names_the_services_and_dependencies(aiapi: Command) -> None:
    data = json.loads(aiapi("new", "demo", "--defaults", "--dry-run", "--json", *CHOICES).stdout)
    assert any(requirement.startswith("fastapi") for requirement in data["dependencies"])
    assert any("qdrant" in name for name in data["containers"])
    assert "src/app/main.py" in data["files"]
