"""Check whether this machine can create and run a service."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiapi import git, source, steps
from aiapi.errors import AiapiError

if TYPE_CHECKING:
    from pathlib import Path

OLDEST_PYTHON = (3, 11)
# A locked environment with its cache takes about 1 GiB; models and databases need more.
NEEDED_BYTES, WANTED_BYTES = 2**30, 4 * 2**30


@dataclass(frozen=True)
class Check:
    """The result of one check; `remedy` says what to do if it is not `ok`."""

    name: str
    ok: bool
    detail: str
    required: bool = True
    remedy: str = ""


def check(folder: Path) -> list[Check]:
    """Check the tools, the disk space at `folder`, the default port, the template and, for root, user namespaces."""
    checks = [_python(), _git(), _uv(), _space(folder), _port(steps.DEFAULT_PORT), _template()]
    if sys.platform == "linux" and os.geteuid() == 0:
        checks.append(_namespaces())
    return checks


def _python() -> Check:
    found = sys.version_info[:3]
    wanted = ".".join(map(str, OLDEST_PYTHON))
    return Check(
        "python", found >= OLDEST_PYTHON, ".".join(map(str, found)), remedy=f"Install Python {wanted} or newer."
    )


def _git() -> Check:
    found = git.version()
    detail = ".".join(map(str, found)) if found else "not installed"
    wanted = ".".join(map(str, git.OLDEST))
    return Check("git", found is not None and found >= git.OLDEST, detail, remedy=f"Install git {wanted} or newer.")


def _uv() -> Check:
    place = shutil.which("uv")
    return Check("uv", place is not None, place or "not installed", remedy="Install uv: https://docs.astral.sh/uv")


def _space(folder: Path) -> Check:
    free = shutil.disk_usage(folder).free
    required = free < NEEDED_BYTES
    remedy = f"Free some: a project with its environment needs {WANTED_BYTES / 2**30:.0f} GiB."
    return Check("disk space", free >= WANTED_BYTES, f"{free / 2**30:.1f} GiB free here", required, remedy)


def _port(port: int) -> Check:
    free = steps.is_free(port)
    detail = f"{port} is {'free' if free else 'in use'}"
    return Check("port", free, detail, required=False, remedy="Start the service with another --port.")


def _template() -> Check:
    try:
        found = source.find(None)
    except AiapiError as error:
        return Check("template", ok=False, detail=error.message, remedy=error.remedy)
    detail = f"{found.location} at {(found.ref or 'its newest release')[:12]}"
    remedy = " ".join(found.warnings)
    return Check("template", not remedy, detail, required=False, remedy=remedy)


def _namespaces() -> Check:
    """Check for user namespaces, with which root can run the development database as another user, as it must."""
    command = ["unshare", "--user", "--map-user=1000", "--map-group=1000", "true"]
    allowed = shutil.which("unshare") and subprocess.run(command, capture_output=True, check=False).returncode == 0  # noqa: S603 - fixed words
    detail = "allowed" if allowed else "not allowed, and you are root"
    remedy = "Work as another user, or set DATABASE_URL to a running PostgreSQL."
    return Check("user namespaces", bool(allowed), detail, required=False, remedy=remedy)
