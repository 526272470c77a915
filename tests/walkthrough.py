"""Run the commands in docs/updating.md: `uv run poe docs` writes their output into it.

In the document, a `console` block contains commands after `$ ` and their output, and a `diff` block is applied to the
project as the user's edit. Everything runs in one project, from top to bottom.
"""

import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from template_repository import RELEASE, ROOT, isolate, make_repository, releases
from updates.life import environment, make

DOCUMENT = ROOT / "docs/updating.md"
SOURCE = "https://git.example.org/aiapi/aiapi.git"
OLD, NEW = "0.1.0", "0.2.0"
COMBINATION = {"vector_store": "pgvector", "task_queue": "celery", "inference": "cpu"}
BLOCK = re.compile(r"```(console|diff)\n(.*?)```\n", re.DOTALL)


def printed(text: str, folder: Path) -> str:
    """Return the document with the present output of its commands; `folder` is an empty folder for temporary files."""
    repository = make_repository(folder / "aiapi.git")
    run(f"git tag --delete {RELEASE}", repository, environment())
    if NEW not in releases():  # the working tree stands in for it
        run(f"git tag --annotate --message {NEW} v{NEW}", repository, environment())
    (folder / "gitconfig").write_text(
        f'[url "{repository}"]\n\tinsteadOf = {SOURCE}\n[user]\n\tname = Ada\n\temail = ada@example.com\n'
    )
    settings = {
        "GIT_CONFIG_GLOBAL": str(folder / "gitconfig"),
        "COPIER_CACHE_DIR": str(folder / "mirrors"),
        "PATH": f"{Path(sys.executable).parent}:{environment()['PATH']}",
        "LC_ALL": "C.UTF-8",
    }
    project = make(repository, f"v{OLD}", COMBINATION, folder / "myservice")
    run(f"sed -i 's|^_src_path:.*|_src_path: {SOURCE}|' .copier-answers.yml", project, environment())
    run("git commit --quiet --all --amend --message 'Start myservice'", project, environment())
    return BLOCK.sub(lambda block: _replay(block, project, environment() | settings), text)


def run(command: str, folder: Path, variables: Mapping[str, str], given: str | None = None) -> str:
    """Run a shell command and return its output, whatever its exit code."""
    done = subprocess.run(
        ["sh", "-c", command], cwd=folder, env=variables, input=given or "", capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout if done.stdout or done.returncode == 0 else done.stderr


def _replay(block: re.Match[str], project: Path, variables: Mapping[str, str]) -> str:
    kind, content = block.groups()
    if kind == "diff":
        failed = run("git apply --whitespace=nowarn - || echo failed", project, variables, content)
        assert not failed, f"{failed}\n{content}"
        return block[0]
    commands = [line[2:] for line in content.splitlines() if line.startswith("$ ")]
    shown = "".join(f"$ {command}\n{run(command, project, variables)}" for command in commands)
    return f"```console\n{shown}```\n"


if __name__ == "__main__":
    isolate()
    with tempfile.TemporaryDirectory() as place:
        DOCUMENT.write_text(printed(DOCUMENT.read_text(), Path(place)))
