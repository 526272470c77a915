"""A small template in a git checkout of its own, and the command that runs from it."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cli import edited_scene, update_scenes
from cli.command import (
    AIAPI,
    CANONICAL,
    ROOT,
    SMALL_TEMPLATE,
    Command,
    Terminal,
    git,
    make_checkout,
    on_a_clean_machine,
)
from cli.project_scenes import commit, run_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(scope="session")
def small_checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout of this generator with a small template; not to be changed."""
    root = tmp_path_factory.mktemp("small") / "checkout"
    for name, content in SMALL_TEMPLATE.items():
        file = root / "template" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    make_checkout(root)
    return root


@pytest.fixture(scope="session")
def real_checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout of this repository as it lies here, committed."""
    root = tmp_path_factory.mktemp("real") / "checkout"
    ignored = shutil.ignore_patterns("__pycache__", ".venv", ".*_cache", ".dev")
    shutil.copytree(ROOT / "template", root / "template", ignore=ignored)
    make_checkout(root)
    return root


@pytest.fixture(scope="session")
def newborn(tmp_path_factory: pytest.TempPathFactory) -> update_scenes.Newborn:
    """A project of the first of three releases, and the checkout that has them; not to be changed."""
    return update_scenes.make(tmp_path_factory.mktemp("releases"))


@pytest.fixture(scope="session")
def updated(newborn: update_scenes.Newborn, tmp_path_factory: pytest.TempPathFactory) -> edited_scene.Updated:
    """A project with every sort of edit, after its update; not to be changed."""
    demo = edited_scene.make_edited(on_a_clean_machine(tmp_path_factory.mktemp("edits"), newborn.checkout), newborn)
    before = update_scenes.files(demo.folder)
    code, said = run_json(demo, "update", "--no-lock")
    return edited_scene.Updated(demo, code, said, before, update_scenes.files(demo.folder))


@pytest.fixture
def demo(newborn: update_scenes.Newborn, command_from: Callable[[Path], Command]) -> Command:
    """The command, run in a copy of that project."""
    aiapi = command_from(newborn.checkout)
    folder = Path(shutil.copytree(newborn.project, aiapi.folder / "demo", symlinks=True))
    return aiapi.within(folder)


@pytest.fixture
def conflicting(demo: Command) -> Command:
    """A project whose update leaves a conflict and a saved file to decide, beside a conflict that is its own."""
    (demo.folder / "merging.md").write_text("<<<<<<< HEAD\nmine\n=======\ntheirs\n>>>>>>> topic\n")
    update_scenes.edit(demo, "same.txt", 5)
    update_scenes.edit(demo, "deleted/edited.txt", 2)
    commit(demo.folder)
    return demo


@pytest.fixture
def checkout(small_checkout: Path, tmp_path: Path) -> Path:
    """A copy of the small checkout that a test may change."""
    return Path(shutil.copytree(small_checkout, tmp_path / "checkout"))


@pytest.fixture
def command_from(tmp_path: Path) -> Callable[[Path], Command]:
    """Give the command as it is when aiapi runs from the given checkout, on a machine without any settings."""

    def build(place: Path) -> Command:
        return on_a_clean_machine(tmp_path, place)

    return build


@pytest.fixture
def aiapi(small_checkout: Path, command_from: Callable[[Path], Command]) -> Command:
    """The command, run from the small checkout."""
    return command_from(small_checkout)


@pytest.fixture
def terminal(aiapi: Command) -> Iterator[Callable[..., Terminal]]:
    """Start the command on a terminal."""
    started: list[Terminal] = []

    def start(*arguments: str, **extra: str) -> Terminal:
        process, screen = pty.fork()
        if process == 0:
            os.chdir(aiapi.folder)
            os.execve(AIAPI, [AIAPI, *arguments], {**aiapi.environment, **extra})  # noqa: S606 - no shell wanted
        started.append(Terminal(process, screen))
        return started[-1]

    yield start
    for each in started:
        try:
            os.kill(each.process, signal.SIGKILL)
            os.waitpid(each.process, 0)
        except (ProcessLookupError, ChildProcessError):
            pass
        os.close(each.screen)


@pytest.fixture
def stand_in(tmp_path: Path) -> Callable[[str, str], str]:
    """Put a shell script before a program on the PATH; `$REAL` is the program itself. Returns the new PATH."""

    def put(program: str, script: str) -> str:
        folder = tmp_path / "programs"
        folder.mkdir(exist_ok=True)
        file = folder / program
        file.write_text(f'#!/bin/sh\nREAL="{shutil.which(program)}"\n{script}\n')
        file.chmod(0o755)
        return f"{folder}{os.pathsep}{os.environ['PATH']}"

    return put


@pytest.fixture
def installed(small_checkout: Path, tmp_path: Path) -> Callable[[dict[str, Any]], Path]:
    """Lay out aiapi as a wheel does, with the given PEP 610 record of where it came from."""

    def lay_out(origin: dict[str, Any], checkout: Path = small_checkout) -> Path:
        site = tmp_path / "site/generator"
        shutil.copytree(small_checkout / "generator/aiapi", site / "aiapi")
        shutil.copy(small_checkout / "copier.yml", site / "aiapi")
        git(checkout, "bundle", "create", "--quiet", str(site / "aiapi/template.bundle"), "HEAD", "--tags")
        metadata = site / "aiapi-0.1.0.dist-info"
        metadata.mkdir()
        text = f"Metadata-Version: 2.4\nName: aiapi\nVersion: 0.1.0\nProject-URL: Repository, {CANONICAL}\n"
        (metadata / "METADATA").write_text(text)
        (metadata / "direct_url.json").write_text(json.dumps(origin))
        return site.parent

    return lay_out
