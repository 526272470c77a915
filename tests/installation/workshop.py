"""Building and installing the package for real, and using it where no network can be reached."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from cli.command import git

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PATIENCE = 120
RELEASED, NEWER = "v999.0.0", "v999.1.0"
NEW_LINE = "A line that came with the newer release."
_NAMESPACE = ("unshare", "--map-root-user", "--net", "--")
_DEAD = "http://127.0.0.1:9"
# Builds take what they need from the environment, so that they too do without a network.
_BARE = ("--no-build-isolation", "--no-deps", "--no-cache")


@dataclass(frozen=True)
class Workshop:
    """A virtual environment with the package's dependencies and its build tool, and a home without settings."""

    environment: Path
    home: Path
    checkout: Path
    newer: Path

    @property
    def package(self) -> Path:
        """The folder of the installed package."""
        return next(self.environment.glob("lib/*/site-packages")) / "aiapi"

    def program(self, name: str) -> str:
        """Return the path of a program of the environment."""
        return str(self.environment / "bin" / name)

    def run(
        self, *command: str | Path, cwd: Path, extra: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command without a network, and without a terminal."""
        return subprocess.run(
            [*no_network(), *map(str, command)],
            cwd=cwd,
            env={**offline(self.home), "VIRTUAL_ENV": str(self.environment), **(extra or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def build(self, source: Path, out: Path, *kind: str) -> subprocess.CompletedProcess[str]:
        """Build sdist or wheel, or with no `kind` the sdist and from it the wheel, as it is done for an index."""
        python = ("--python", self.program("python"))
        return self.run("uv", "build", "--no-build-isolation", "--no-cache", *python, *kind, "-o", out, cwd=source)

    def install(self, *what: str | Path, with_pip: bool = False) -> None:
        """Put the package into the environment, in the place of the one that is there."""
        pip = (self.program("python"), "-m", "pip", "install", "--quiet", "--force-reinstall")
        uv = ("uv", "pip", "install", "--quiet", "--reinstall")
        done = self.run(*(pip if with_pip else uv), *_BARE[: 2 if with_pip else 3], *what, cwd=self.home)
        assert done.returncode == 0, done.stderr

    def make_project(self, folder: Path, *command: str | Path) -> Path:
        """Make the project `demo` in a new folder with `aiapi new`; returns its folder."""
        folder.mkdir()
        words = ("new", "demo", "--defaults", "--no-lock")
        made = self.run(*(command or (self.program("aiapi"),)), *words, cwd=folder)
        assert made.returncode == 0, made.stderr
        return folder / "demo"

    def update_with_copier(self, project: Path, redirect: tuple[str, Path] | None = None) -> None:
        """Update a project with plain Copier; `redirect` lets a folder stand for an address on the network."""
        settings = {}
        if redirect:
            key = f"url.{redirect[1]}.insteadOf"
            settings = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": key, "GIT_CONFIG_VALUE_0": redirect[0]}
        done = self.run(self.program("copier"), "update", "--defaults", cwd=project, extra=settings)
        assert done.returncode == 0, done.stderr

    def source(self, folder: Path, *, bare: bool = False) -> Path:
        """Clone the checkout into a new folder."""
        git(self.checkout, "clone", "--quiet", *(["--bare"] if bare else []), str(self.checkout), str(folder))
        for setting in ("allowFilter", "allowAnySHA1InWant"):
            git(folder, "config", f"uploadpack.{setting}", "true")
        return folder

    def publish(self, source: Path) -> None:
        """Put the newer release into a clone."""
        git(self.newer, "push", "--quiet", str(source), f"{NEWER}^{{commit}}:refs/heads/newer", NEWER)


def recorded(project: Path) -> tuple[str, str]:
    """Return the source and the version that a project records."""
    answers: dict[str, Any] = yaml.safe_load((project / ".copier-answers.yml").read_text())
    return answers["_src_path"], answers["_commit"]


def is_current(project: Path) -> bool:
    """Tell whether a project is at the newer release, without a conflict."""
    lines = (project / "README.md").read_text().splitlines()
    return recorded(project)[1] == NEWER and lines[-1] == NEW_LINE and not git(project, "diff", "--check")


def heads(bundle: Path) -> dict[str, str]:
    """Return the references of a bundle."""
    lines = git(bundle.parent, "bundle", "list-heads", str(bundle)).splitlines()
    return {name: commit for commit, name in map(str.split, lines)}


def offline(home: Path) -> dict[str, str]:
    """Return an environment of no settings, in which everything that asks the network is refused at once."""
    foreign = ("GIT_", "COPIER_", "XDG_", "PYTHON", "PIP_", "UV_", "VIRTUAL_ENV")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    cache = subprocess.run(["uv", "cache", "dir"], check=True, capture_output=True, text=True).stdout.strip()
    proxies = {name: _DEAD for scheme in ("http", "https", "all") for name in (f"{scheme}_proxy", f"{scheme}_PROXY")}
    return (
        kept
        | proxies
        | {
            "HOME": str(home),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_ALLOW_PROTOCOL": "file",
            "UV_OFFLINE": "1",
            "UV_CACHE_DIR": cache,
            "PIP_NO_INDEX": "1",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }
    )


def no_network() -> tuple[str, ...]:
    """Return the words that take the network away from a command, where this machine allows that."""
    possible = shutil.which("unshare") and subprocess.run([*_NAMESPACE, "true"], check=False, capture_output=True)
    return _NAMESPACE if possible and possible.returncode == 0 else ()
