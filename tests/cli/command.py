"""Run the real `aiapi` as a user does, and inspect what it leaves."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ROOT = Path(__file__).resolve().parents[2]
AIAPI = str(Path(sys.executable).with_name("aiapi"))
PATIENCE = 60
CANONICAL = "https://git.example.org/aiapi/aiapi.git"

SMALL_TEMPLATE = {
    "{{ _copier_conf.answers_file }}.jinja": "# Changes here are overwritten\n{{ _copier_answers | to_nice_yaml }}",
    # With pgvector nothing has to be fetched, so that locking works without a network; with qdrant it does not.
    "pyproject.toml.jinja": (
        '[project]\nname = "{{ project_name }}"\nversion = "0.1.0"\ndescription = "{{ description }}"\n'
        'requires-python = ">={{ python_version }}"\n'
        "dependencies = [{{ '\"attrs>=23\"' if vector_store == 'qdrant' else '' }}]\n"
        "[project.optional-dependencies]\nextra = [\"iniconfig; python_version < '3'\"]\n"
        "[dependency-groups]\ndev = [{include-group = 'test'}]\ntest = [\"Py_Test; python_version < '3'\"]\n"
    ),
    "compose.yaml": "services:\n  api:\n    build: .\n  database:\n    image: postgres:18\n",
    ".gitignore": ".venv/\n",
    "src/app/main.py": '"""Nothing yet."""\n',
    "tests/test_main.py": '"""Nothing yet."""\n',
    "{{ pgvector }}/src/app/vector_store.py": '"""pgvector."""\n',
    "{{ qdrant }}/src/app/vector_store.py": '"""Qdrant."""\n',
    "{{ qdrant }}/_parts/readme.md": "never emitted\n",
}


@dataclass(frozen=True)
class Command:
    """The `aiapi` command, run as a user would, in a folder and an environment of its own."""

    folder: Path
    environment: Mapping[str, str]

    def within(self, folder: Path) -> Command:
        """Return the same command, run in another folder."""
        return replace(self, folder=folder)

    def __call__(self, *arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
        """Run it to its end, without a terminal."""
        return subprocess.run(
            [AIAPI, *arguments],
            cwd=self.folder,
            env={**self.environment, **extra},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def start(self, *arguments: str, **extra: str) -> subprocess.Popen[str]:
        """Start it in a process group of its own, as a shell does, without waiting for it."""
        return subprocess.Popen(
            [AIAPI, *arguments],
            cwd=self.folder,
            env={**self.environment, **extra},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def leftovers(self) -> list[str]:
        """List what lies in the folder and in the temporary folder."""
        return sorted(
            path.name for place in (self.folder, Path(self.environment["TMPDIR"])) for path in place.iterdir()
        )


@dataclass
class Terminal:
    """A command on a terminal: what it shows can be awaited, keys can be sent."""

    process: int
    screen: int
    seen: str = field(default="")

    def await_text(self, text: str) -> None:
        """Wait until the text has been shown since the last time that text was awaited."""
        deadline = time.monotonic() + PATIENCE
        while text not in self.seen:
            ready, _, _ = select.select([self.screen], [], [], deadline - time.monotonic())
            assert ready, f"never saw {text!r} but:\n{self.seen}"
            self.seen += os.read(self.screen, 65536).decode(errors="replace")
        self.seen = self.seen.partition(text)[2]

    def press(self, keys: str) -> None:
        """Send keys."""
        os.write(self.screen, keys.encode())

    def end(self, insisting_on: str = "") -> tuple[int, str]:
        """Wait for the end; return the exit code and what was shown since the last awaited text.

        Keys that are insisted on are sent again each second: Python's `input` misses a Ctrl-C that comes in the instant
        between its prompt and its reading.
        """
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            ready, _, _ = select.select([self.screen], [], [], 1)
            if not ready:
                self.press(insisting_on)
                continue
            try:
                shown = os.read(self.screen, 65536)
            except OSError:  # Linux's way to say that the other side is gone
                shown = b""
            if not shown:
                _, status = os.waitpid(self.process, 0)
                return os.waitstatus_to_exitcode(status), self.seen
            self.seen += shown.decode(errors="replace")
        raise AssertionError(f"it did not end but showed:\n{self.seen}")


def on_a_clean_machine(root: Path, place: Path) -> Command:
    """Give the command as it is when aiapi runs from the checkout `place`, on a machine without any settings."""
    home, temporary, folder = (root / name for name in ("home", "temporary", "work"))
    for each in (home, temporary, folder):
        each.mkdir(exist_ok=True)
    (home / ".gitconfig").write_text("[user]\nname = Ada\nemail = ada@example.com\n")
    # Bytecode stays on: a start of the command then takes a third of the time.
    foreign = ("GIT_", "COPIER_", "XDG_", "PYTHON", "NO_COLOR", "UV_OFFLINE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    settings = {
        "HOME": str(home),
        "TMPDIR": str(temporary),
        "GIT_CONFIG_NOSYSTEM": "1",
        "PYTHONPATH": str(place / "generator"),
        "PROMPT_TOOLKIT_NO_CPR": "1",
        "TERM": "xterm",
    }
    return Command(folder, kept | settings)


def git(folder: Path, *arguments: str) -> str:
    """Run git in a folder and return what it says."""
    identity = ("-c", "user.name=Tester", "-c", "user.email=tester@example.com")
    command = ["git", *identity, *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def make_checkout(root: Path) -> None:
    """Put this repository's generator and questions into `root` and commit all that is there as v0.1.0."""
    shutil.copytree(ROOT / "generator/aiapi", root / "generator/aiapi", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "copier.yml", root)
    (root / ".gitignore").write_text("__pycache__/\n")
    git(root, "init", "--quiet", "--initial-branch=main")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "first")
    git(root, "tag", "--annotate", "--message", "v0.1.0", "v0.1.0")


def tree(folder: Path) -> dict[str, bytes]:
    """Read every file of a project but those of git."""
    files = (path for path in folder.rglob("*") if path.is_file() and ".git" not in path.relative_to(folder).parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until something is true."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it never became true"
        time.sleep(0.02)


def copy_with_copier(aiapi: Command, template: Path, data: list[str]) -> Path:
    """Make the project `demo` with plain `copier copy`, in the same environment; returns its folder."""
    folder = aiapi.folder.with_name("plain") / "demo"
    answers = [word for answer in ("project_name=demo", *data) for word in ("--data", answer)]
    command = [sys.executable, "-m", "copier", "copy", "--quiet", "--defaults", *answers, str(template), str(folder)]
    subprocess.run(command, env=dict(aiapi.environment), cwd=aiapi.folder, check=True, capture_output=True)
    return folder


def interrupt(process: subprocess.Popen[str], by: str, mark: Path) -> tuple[str, str]:
    """Interrupt a command when `mark` appears, by SIGTERM or as Ctrl-C does, with its group; return what it wrote."""
    try:
        wait_for(mark.exists)
        if by == "Ctrl-C":
            os.killpg(process.pid, signal.SIGINT)
        else:
            process.terminate()
        return process.communicate(timeout=PATIENCE)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
