"""`poe tags`: the tags of the listed releases, made in a clone that came without them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from aiapi import releases
from cli.command import git
from template_repository import ROOT, save

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A repository with two commits, the first listed as a release, and the script that tags."""
    script = tmp_path / "generator/releasing/tags.py"
    script.parent.mkdir(parents=True)
    shutil.copy(ROOT / "generator/releasing/tags.py", script)
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    save(tmp_path)
    head = git(tmp_path, "rev-parse", "HEAD")
    (tmp_path / "docs").mkdir()
    (tmp_path / releases.LIST).write_text(f'"0.1.0" = "{head}"\n')
    save(tmp_path)
    return tmp_path


def make_tags(clone: Path) -> tuple[int, str]:
    command = [sys.executable, "generator/releasing/tags.py"]
    result = subprocess.run(command, cwd=clone, capture_output=True, text=True, check=False)
    assert "Traceback" not in result.stderr
    return result.returncode, result.stdout + result.stderr


def test_a_clone_without_tags_gets_them_and_keeps_those_that_are_right(clone: Path) -> None:
    assert make_tags(clone) == (0, "Made v0.1.0.\n")
    assert git(clone, "cat-file", "-t", "v0.1.0") == "tag"
    assert git(clone, "rev-parse", "v0.1.0^{}") == git(clone, "rev-parse", "HEAD^")
    assert git(clone, "tag", "--list", "--format=%(contents)") == "aiapi 0.1.0"
    before = git(clone, "rev-parse", "v0.1.0")
    assert make_tags(clone) == (0, "Every release has its tag.\n")
    git(clone, "tag", "--delete", "v0.1.0")
    make_tags(clone)
    assert git(clone, "rev-parse", "v0.1.0") == before


def test_a_tag_that_is_elsewhere_or_not_annotated_is_an_error_and_nothing_is_tagged(clone: Path) -> None:
    first, second = git(clone, "rev-parse", "HEAD^"), git(clone, "rev-parse", "HEAD")
    (clone / releases.LIST).write_text(f'"0.1.0" = "{first}"\n"0.2.0" = "{second}"\n')
    git(clone, "tag", "--annotate", "--message", "wrong", "v0.1.0", second)
    code, said = make_tags(clone)
    assert (code, f"v0.1.0 is at {second}, but docs/releases.toml says {first}." in said) == (1, True)
    git(clone, "tag", "--force", "v0.1.0", first)
    code, said = make_tags(clone)
    assert (code, "v0.1.0 is not an annotated tag." in said) == (1, True)
    assert "git tag --delete v0.1.0" in said
    assert git(clone, "tag") == "v0.1.0"


def test_a_shallow_clone_is_told_to_fetch_its_history(clone: Path) -> None:
    shallow = clone / "shallow"
    git(clone, "clone", "--quiet", "--depth", "1", clone.as_uri(), str(shallow))
    code, said = make_tags(shallow)
    assert (code, "git fetch --unshallow" in said) == (1, True)
    (clone / releases.LIST).write_text(f'"0.1.0" = "{"0" * 40}"\n')
    assert "Correct docs/releases.toml." in make_tags(clone)[1]
