"""A small template with three releases, in which each file is one thing that an update can meet."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.command import Command, git, make_checkout, on_a_clean_machine
from cli.project_scenes import commit

if TYPE_CHECKING:
    from collections.abc import Mapping

LINES = "".join(f"line {number}\n" for number in range(1, 31))
PICTURE = b"\x89PNG\0\1\2\3" * 8
PROSE = "".join(f"A sentence that only this file has, number {number}.\n" for number in range(1, 16))
# Names that some tool between the template and the project might read as something else. git takes one that begins with
# a colon, at the root of the repository, for a pathspec with magic.
PATTERN = "odd/[a]*.txt"
ODD_NAMES = (
    "odd/with space.txt",
    "odd/grüße.txt",
    "odd/a'quote.txt",
    'odd/"double".txt',
    "odd/-dash.txt",
    PATTERN,
    "odd/br{a,b}ce.txt",
    ":odd.txt",
)
EXECUTABLE = "bin/run.sh", "bin/gone.sh"
# Becomes executable with the second release, and changes in nothing else.
TURNED = "bin/turned.sh"
# Its version is in uv.lock too, so that a change of it can be locked without a network.
_PYPROJECT = '[project]\nname = "{{ project_name }}"\nversion = "0.1.0"\nrequires-python = ">=3.11"\n'
# Functions that differ in their names only, so that what surrounds a line does not tell in which of them it is.
_ROUTE = (
    "def {0}(caller):\n    limit(caller)\n    check(caller)\n    audit(caller)\n    run(caller)\n    log(caller)\n\n\n"
)
ROUTES = "".join(map(_ROUTE.format, ("post", "put")))
MORE_ROUTES = "".join(map(_ROUTE.format, ("patch", "get"))) + ROUTES
_REVISION = 'revision = "{}"\ndown_revision = {}\n'

# None deletes, "-> NAME" renames what was there; a text or bytes are the file from now on.
FIRST: dict[str, str | bytes] = {
    "{{ _copier_conf.answers_file }}.jinja": "# Changes here are overwritten\n{{ _copier_answers | to_nice_yaml }}",
    "pyproject.toml.jinja": _PYPROJECT,
    "README.md.jinja": f"# {{{{ project_name }}}}\n\n{{{{ description }}}}\n\n{LINES}",
    ".gitignore": ".venv/\n*.log\n",
    "plain.txt": LINES,
    "elsewhere.txt": LINES,
    "same.txt": LINES,
    "forsaken.txt": LINES,
    "bin/run.sh": "#!/bin/sh\necho 1\n",
    "bin/gone.sh": "#!/bin/sh\necho gone\n",
    TURNED: "#!/bin/sh\necho turned\n",
    "deleted/edited.txt": PROSE[::-1],
    "deleted/untouched.txt": PROSE.swapcase(),
    "deleted/picture.png": PICTURE,
    "moved/edited.txt": PROSE,
    "moved/clash.txt": PROSE.upper(),
    "moved/taken.txt": PROSE.replace("sentence", "word"),
    "moved/untouched.txt": PROSE.replace("sentence", "letter"),
    "routes.py": f"# Routes.\n\n\n{ROUTES}",
    ".gitattributes": "unshown*.txt -diff\n",
    "unshown.txt": LINES,
    "unshown_kept.txt": LINES,
    "picture.png": PICTURE,
    "picture_kept.png": PICTURE + b"kept",
    "linked.txt": LINES,
    "windows.txt": LINES.replace("\n", "\r\n"),
    "endless.txt": LINES.rstrip("\n"),
    "empty.txt": "",
    "filled.txt": "",
    "emptied.txt": LINES,
    **dict.fromkeys(ODD_NAMES, LINES),
    "migrations/versions/0001_first.py": _REVISION.format("0001", "None"),
    "{{ pgvector }}/store.txt": f"pgvector\n{LINES}",
    "{{ pgvector }}/only_pgvector.txt": f"index\n{LINES}",
    "{{ qdrant }}/store.txt": f"qdrant\n{LINES}",
    "{{ celery }}/queue.txt": "celery\n",
    "{{ arq }}/queue.txt": "arq\n",
}


def changed(text: str, number: int, to: str = "changed by the template") -> str:
    """Return a text with another line in the place of its line `number`, counted from 1."""
    lines = text.splitlines(keepends=True)
    ending = lines[number - 1].removeprefix(lines[number - 1].rstrip("\r\n"))
    return "".join([*lines[: number - 1], to + ending, *lines[number:]])


SECOND: dict[str, str | bytes | None] = {
    "pyproject.toml.jinja": _PYPROJECT.replace("0.1.0", "0.2.0"),
    "plain.txt": changed(LINES, 3),
    "elsewhere.txt": changed(LINES, 3),
    "same.txt": changed(changed(LINES, 5), 20),
    "forsaken.txt": changed(LINES, 3),
    "bin/run.sh": "#!/bin/sh\necho 2\n",
    "bin/gone.sh": None,
    "deleted/edited.txt": None,
    "deleted/untouched.txt": None,
    "deleted/picture.png": None,
    "moved/edited.txt": "-> moved here/edited.txt",
    "moved/clash.txt": "-> moved here/clash.txt",
    "moved here/clash.txt": changed(PROSE.upper(), 10),
    "moved/taken.txt": "-> moved here/taken.txt",
    "moved/untouched.txt": "-> moved here/untouched.txt",
    "routes.py": f"# Routes.\n\n\n{MORE_ROUTES}",
    "unshown.txt": changed(LINES, 3),
    "picture.png": PICTURE[::-1],
    "linked.txt": changed(LINES, 3),
    "windows.txt": changed(LINES.replace("\n", "\r\n"), 3),
    "endless.txt": changed(LINES.rstrip("\n"), 3),
    "filled.txt": "filled\n",
    "emptied.txt": "",
    **dict.fromkeys(ODD_NAMES, changed(LINES, 3)),
    "added.txt": "added\n",
    "added_by_both.txt": LINES,
    "added_alike.txt": LINES,
    "migrations/versions/0002_second.py": _REVISION.format("0002", '"0001"'),
}
THIRD: dict[str, str | bytes | None] = {"third.txt": "third\n"}


@dataclass(frozen=True)
class Newborn:
    """A project as v0.1.0 gives it, the same answers as v0.3.0 gives them, and the checkout with all releases."""

    checkout: Path
    project: Path
    fresh: Path


def make(root: Path) -> Newborn:
    """Make the template with its releases, a project of the first and, to compare, one of the last."""
    checkout = root / "checkout"
    _write(checkout, FIRST)
    for name in EXECUTABLE:
        (checkout / "template" / name).chmod(0o755)
    make_checkout(checkout)
    aiapi = on_a_clean_machine(root, checkout)
    project = _new(aiapi, "demo")
    for version, changes in (("v0.2.0", SECOND), ("v0.3.0", THIRD)):
        _write(checkout, changes)
        (checkout / "template" / TURNED).chmod(0o755)
        commit(checkout, version)
        git(checkout, "tag", "--annotate", "--message", version, version)
    (root / "fresh").mkdir()
    return Newborn(checkout, project, _new(aiapi.within(root / "fresh"), "demo"))


def _new(aiapi: Command, name: str) -> Path:
    result = aiapi("new", name, "--defaults", "--no-lock")
    assert result.returncode == 0, result.stderr
    return aiapi.folder / name


def _write(checkout: Path, files: Mapping[str, str | bytes | None]) -> None:
    template = checkout / "template"
    for name, content in files.items():
        file = template / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            file.unlink()
        elif isinstance(content, str) and content.startswith("-> "):
            target = template / content.removeprefix("-> ")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(file, target)
        else:
            file.write_bytes(content if isinstance(content, bytes) else content.encode())


def edit(demo: Command, name: str, line: int, to: str = "changed by me") -> None:
    """Put another line into a file of the project."""
    file = demo.folder / name
    file.write_bytes(changed(file.read_bytes().decode(), line, to).encode())


def files(folder: Path) -> dict[str, tuple[bool, bytes]]:
    """Read every file but git's: whether it can be executed, and its content, or where it points if it is a link."""
    found = (path for path in folder.rglob("*") if path.is_symlink() or path.is_file())
    return {
        path.relative_to(folder).as_posix(): (False, b"-> " + os.fsencode(path.readlink()))
        if path.is_symlink()
        else (os.access(path, os.X_OK), path.read_bytes())
        for path in found
        if ".git" not in path.relative_to(folder).parts
    }


def state(folder: Path) -> dict[str, object]:
    """Return all of a project that a refusal, a dry run or an undo must leave as it was."""
    repository = (folder / ".git").exists()
    seen = {
        what: git(folder, *what.split())
        for what in (
            "status --porcelain --ignored",
            "worktree list --porcelain",
            "for-each-ref",
            "ls-files --stage",
            "config --local --list",
            "stash list",
        )
        if repository
    }
    return {"files": files(folder), **seen}


def refused(demo: Command, *arguments: str, code: int = 1, **extra: str) -> dict[str, Any]:
    """Run a command that must be refused, see that it left everything as it was, and return the error."""
    before = state(demo.folder)
    result = demo(*arguments, "--json", **extra)
    assert result.returncode == code, result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    assert state(demo.folder) == before
    assert list(Path(demo.environment["TMPDIR"]).iterdir()) == []
    error: dict[str, Any] = json.loads(result.stdout)["error"]
    assert error["remedy"]
    assert error["message"] in result.stderr
    assert "\n" not in error["message"]
    return error


def undo(demo: Command, said: dict[str, Any]) -> None:
    """Run the command that the update named, in the project."""
    subprocess.run(["sh", "-c", said["undo"]], cwd=demo.folder, env=dict(demo.environment), check=True)


def decide(demo: Command) -> None:
    """Decide what the update of the project `conflicting` leaves open."""
    shutil.copy(demo.folder / "plain.txt", demo.folder / "same.txt")
    (demo.folder / "deleted/edited.txt.yours").unlink()
