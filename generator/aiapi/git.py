"""The few things that are asked of git."""

from __future__ import annotations

import io
import os
import re
import shlex
import shutil
import subprocess
from typing import TYPE_CHECKING

from aiapi.errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

OLDEST = (2, 31)
FALLBACK_IDENTITY = {
    f"GIT_{role}_{part}": value
    for role in ("AUTHOR", "COMMITTER")
    for part, value in (("NAME", "aiapi"), ("EMAIL", "aiapi@localhost"))
}
# Set while git runs a hook; inherited, they would point every call below at another repository.
_MISLEADING = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR", "GIT_PREFIX")

# What users set for themselves and what would change what a merge gives, or how git tells of it.
_PLAIN = {
    "apply.ignoreWhitespace": "no",
    "apply.whitespace": "nowarn",
    "color.ui": "false",
    "commit.gpgSign": "false",
    "core.attributesFile": os.devnull,
    "core.autocrlf": "false",
    "core.eol": "lf",
    "core.excludesFile": os.devnull,
    "core.fsmonitor": "false",
    "core.hooksPath": os.devnull,
    "core.quotePath": "true",
    "core.safecrlf": "false",
    "diff.mnemonicPrefix": "false",
    "diff.noprefix": "false",
    "diff.renames": "true",
    "init.templateDir": "",
    "merge.conflictStyle": "merge",
    "status.showUntrackedFiles": "all",
}

_FETCHING = {"clone", "fetch", "ls-remote"}


def forget_surroundings() -> None:
    """Drop the variables by which an outer git command would redirect ours."""
    for name in _MISLEADING:
        os.environ.pop(name, None)


def plain(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that, added to an environment, keep users' habits out of what git does."""
    first = int(environment.get("GIT_CONFIG_COUNT") or "0")
    variables = {"GIT_ATTR_NOSYSTEM": "1", "GIT_DEFAULT_HASH": "sha1", "GIT_CONFIG_COUNT": str(first + len(_PLAIN))}
    for number, (name, value) in enumerate(_PLAIN.items(), start=first):
        variables |= {f"GIT_CONFIG_KEY_{number}": name, f"GIT_CONFIG_VALUE_{number}": value}
    return variables


def attempt(
    *arguments: str, cwd: Path, extra: Mapping[str, str] | None = None, given: str | None = None, apart: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run git in `cwd` and return what came of it, whatever that was (127: no git); messages are in English.

    `given` is what git reads from its standard input, nothing by default. What is not UTF-8 survives the way there
    and back. `apart` keeps Ctrl-C from git and from the programs that it starts.
    """
    environment = {**os.environ, "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", **(extra or {})}
    command = ["git", *arguments]
    try:
        return subprocess.run(  # noqa: S603 - arguments are ours, no shell
            command,
            cwd=cwd,
            env=environment,
            input=given or "",
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            start_new_session=apart,
            check=False,
        )
    except FileNotFoundError:
        return subprocess.CompletedProcess(command, 127, "", "git is not installed")


def ask(*arguments: str, cwd: Path) -> str | None:
    """Return what git answers in `cwd`, stripped, or None when it fails."""
    result = attempt(*arguments, cwd=cwd)
    return result.stdout.strip() if result.returncode == 0 else None


def contents(blobs: Iterable[str], cwd: Path) -> dict[str, bytes]:
    """Return what the blobs hold, byte for byte; one that the repository does not have is left out."""
    given = "".join(f"{blob}\n" for blob in blobs).encode()
    told = subprocess.run(["git", "cat-file", "--batch"], cwd=cwd, input=given, capture_output=True, check=False)  # noqa: S607
    stream, found = io.BytesIO(told.stdout), {}
    while words := stream.readline().split():
        if words[1] == b"blob":
            found[words[0].decode()] = stream.read(int(words[2]))
            stream.read(1)
    return found


def told(command: Sequence[str], code: object, stderr: str) -> str:
    """Say in one line how a git that somebody else ran has failed: to fetch something, or at what else it was to do."""
    verb = next((word for word in command[1:] if word in _FETCHING), None)
    lines = [line for line in stderr.splitlines() if line.startswith(("fatal:", "error:"))]
    reason = lines[0].partition(": ")[2] if lines else f"exit code {code}"
    if verb:
        return f"git could not fetch the template: {reason}"
    return f"git failed ({shlex.join(['git', *command[1:]])}): {reason}"


def at(repository: Path) -> str:
    """Return the argument that names a repository: git may have been told not to find a bare one by itself."""
    inner = repository / ".git"
    return f"--git-dir={inner if inner.exists() else repository}"


def trust(refusal: str) -> str:
    """Return the command by which git, refusing a repository of another user, says that it can be told to trust it."""
    lines = (line.strip() for line in refusal.splitlines())
    return next((line for line in lines if line.startswith("git config") and "safe.directory" in line), "")


def version() -> tuple[int, ...] | None:
    """Return git's version as numbers, or None when git is not installed."""
    if shutil.which("git") is None:
        return None
    result = subprocess.run(["git", "--version"], capture_output=True, text=True, check=False)  # noqa: S607
    match = re.search(r"\d+(\.\d+)+", result.stdout)
    return tuple(int(part) for part in match[0].split(".")) if match else None


def require() -> None:
    """Raise `ToolError` unless a git that is recent enough is installed."""
    found = version()
    if found is None:
        raise ToolError("git is not installed.", remedy="Install git (https://git-scm.com) and run the command again.")
    if found < OLDEST:
        raise ToolError(
            f"git {'.'.join(map(str, found))} is too old.",
            remedy=f"Install git {'.'.join(map(str, OLDEST))} or newer.",
        )


def start_repository(folder: Path, message: str) -> tuple[str, bool]:
    """Make `folder` a repository on branch main whose first commit holds everything in it.

    The user's own hooks, signing and global ignore list are left out of this one commit: the first could refuse
    it, the second could wait for a passphrase, the third would hide files that an update must see.

    Returns:
        The id of the commit, and whether a fallback identity had to sign it.

    Raises:
        ToolError: When git refuses one of the steps.
    """
    _checked("init", "--quiet", "--initial-branch=main", "--object-format=sha1", cwd=folder)
    _checked("-c", f"core.excludesFile={os.devnull}", "-c", "core.safecrlf=false", "add", "--all", cwd=folder)
    commit = (
        *("-c", "user.useConfigOnly=true", "-c", "commit.gpgSign=false", "-c", f"core.hooksPath={os.devnull}"),
        *("commit", "--quiet", "--no-verify", "--message", message),
    )
    fallback = attempt(*commit, cwd=folder).returncode != 0
    if fallback:
        _checked(*commit, cwd=folder, extra=FALLBACK_IDENTITY)
    return _checked("rev-parse", "HEAD", cwd=folder), fallback


def _checked(*arguments: str, cwd: Path, extra: Mapping[str, str] | None = None) -> str:
    result = attempt(*arguments, cwd=cwd, extra=extra)
    if result.returncode:
        reason = (result.stderr.strip().splitlines() or ["no reason given"])[-1]
        verb = next(word for word in arguments if word in {"init", "add", "commit", "rev-parse"})
        raise ToolError(f"git {verb} failed: {reason}", remedy="Commit the new project yourself.")
    return result.stdout.strip()
