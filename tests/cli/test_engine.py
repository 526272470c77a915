"""Rendering with a release of Copier whose private parts have other names."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from cli.command import tree

if TYPE_CHECKING:
    from cli.command import Command

MISSING = "sys.modules['copier._main'] = sys.modules['copier._jinja_ext'] = None"
RENAMED = (
    "sys.modules['copier._main'] = types.SimpleNamespace(Worker=type('Worker', (), {}))\n"
    "sys.modules['copier._jinja_ext'] = types.SimpleNamespace(SandboxedEnvironment=type('Environment', (), {}))"
)


@pytest.mark.parametrize("change", [MISSING, RENAMED], ids=["modules", "methods"])
def test_without_the_private_parts_of_copier_the_same_project_is_created(aiapi: Command, change: str) -> None:
    program = f"import sys, types, copier\n{change}\nfrom aiapi.__main__ import main\nmain()"
    words = ["new", "demo", "--defaults", "--no-lock", "--into"]
    command = [sys.executable, "-c", program, *words, "other"]
    done = subprocess.run(
        command, cwd=aiapi.folder, env=dict(aiapi.environment), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert aiapi(*words, "demo").returncode == 0
    assert tree(aiapi.folder / "other") == tree(aiapi.folder / "demo")
