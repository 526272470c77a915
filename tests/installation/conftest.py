"""One environment, one checkout and the packages built from it, for every test of an installation."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from cli.command import git
from installation.workshop import NEW_LINE, NEWER, RELEASED, Workshop
from template_repository import make_repository

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Built:
    """The packages of one checkout."""

    sdist: Path
    wheel: Path


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """The environment, the checkout and a clone of it that is one release ahead."""
    place = tmp_path_factory.mktemp("workshop")
    home = place / "home"
    home.mkdir()
    (home / ".gitconfig").write_text("[user]\nname = Ada\nemail = ada@example.com\n")
    checkout = make_repository(place / "checkout")
    commit = git(checkout, "rev-parse", f"{RELEASED}^{{commit}}")
    with (checkout / "docs/releases.toml").open("a") as releases:
        releases.write(f'"{RELEASED[1:]}" = "{commit}"\n')
    git(checkout, "commit", "--quiet", "--all", "--message", "Enter the release into the list")
    return Workshop(_environment(place / "environment", checkout), home, checkout, _newer(place / "newer", checkout))


def _environment(folder: Path, checkout: Path) -> Path:
    """Make the environment: the one thing here that may need a network."""
    python = ("--python", str(folder / "bin/python"))
    for command in (
        ["uv", "venv", "--quiet", "--python", sys.executable, str(folder)],
        ["uv", "pip", "install", "--quiet", *python, "-r", "pyproject.toml"],
        ["uv", "pip", "install", "--quiet", *python, "hatchling", "editables", "pip"],
    ):
        subprocess.run(command, cwd=checkout, check=True)
    return folder


def _newer(folder: Path, checkout: Path) -> Path:
    git(checkout, "clone", "--quiet", str(checkout), str(folder))
    with (folder / "template/README.md.jinja").open("a") as readme:
        readme.write(f"{NEW_LINE}\n")
    settings = folder / "pyproject.toml"
    lines = settings.read_text().splitlines()
    lines = [f'version = "{NEWER[1:]}"' if line.startswith("version = ") else line for line in lines]
    settings.write_text("\n".join(lines) + "\n")
    git(folder, "commit", "--quiet", "--all", "--message", NEWER)
    git(folder, "tag", "--annotate", "--message", NEWER, NEWER)
    return folder


@pytest.fixture(scope="session")
def built(workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The sdist of the checkout, and the wheel that is built from that sdist."""
    out = tmp_path_factory.mktemp("built")
    done = workshop.build(workshop.checkout, out)
    assert done.returncode == 0, done.stderr
    return Built(next(out.glob("*.tar.gz")), next(out.glob("*.whl")))
