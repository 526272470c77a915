"""Run git, and read what it prints."""

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
# Makes git take pathspecs as plain names, whatever characters they contain.
LITERAL_PATHS = {"GIT_LITERAL_PATHSPECS": "1"}
# git sets these while it runs a hook; inherited, they would point every call below at another repository.
_MISLEADING = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR", "GIT_PREFIX")

# User settings that would change the result of a merge, or how git reports it.
_ISOLATED = {
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
_BINARY_PROBE = 8000  # git's own rule: a file with a zero byte this early is binary


def clear_inherited_variables() -> None:
    """Drop the variables with which an outer git command would redirect ours."""
    for name in _MISLEADING:
        os.environ.pop(name, None)


def isolated_config(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that, added to an environment, override the user's git settings."""
    first = int(environment.get("GIT_CONFIG_COUNT") or "0")
    variables = {"GIT_ATTR_NOSYSTEM": "1", "GIT_DEFAULT_HASH": "sha1", "GIT_CONFIG_COUNT": str(first + len(_ISOLATED))}
    for number, (name, value) in enumerate(_ISOLATED.items(), start=first):
        variables |= {f"GIT_CONFIG_KEY_{number}": name, f"GIT_CONFIG_VALUE_{number}": value}
    return variables


def run(
    *arguments: str,
    cwd: Path,
    extra: Mapping[str, str] | None = None,
    stdin: str | None = None,
    new_session: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Run git in `cwd` and return the result, even if it failed (127: git is not installed).

    Messages are in English. `extra` is added to the environment, and `stdin` is empty by default. Bytes that are not
    UTF-8 survive in both directions. `new_session` keeps Ctrl-C from git and its child processes.
    """
    environment = {**os.environ, "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", **(extra or {})}
    command = ["git", *arguments]
    try:
        return subprocess.run(  # noqa: S603 - arguments are ours, no shell
            command,
            cwd=cwd,
            env=environment,
            input=stdin or "",
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            start_new_session=new_session,
            check=False,
        )
    except FileNotFoundError:
        return subprocess.CompletedProcess(command, 127, "", "git is not installed")


def output(*arguments: str, cwd: Path) -> str | None:
    """Return what git prints in `cwd`, stripped, or None if it fails."""
    result = run(*arguments, cwd=cwd)
    return result.stdout.strip() if result.returncode == 0 else None


def checked(
    *arguments: str, cwd: Path, remedy: str, extra: Mapping[str, str] | None = None, stdin: str | None = None
) -> str:
    """Return what git prints in `cwd`.

    Raises:
        ToolError: With the remedy, if git fails.
    """
    result = run(*arguments, cwd=cwd, extra=extra, stdin=stdin)
    if result.returncode:
        raise ToolError(f"git {_verb(arguments)} failed: {reason(result)}", remedy=remedy)
    return result.stdout


def names(command: str, *arguments: str, cwd: Path, extra: Mapping[str, str] | None = None) -> list[str]:
    """Return the names that a git command lists in `cwd`; with `-z`, which is added, any name is safe.

    Raises:
        ToolError: If git fails.
    """
    remedy = "Fix the cause, then run the command again."
    return [
        name for name in checked(command, "-z", *arguments, cwd=cwd, remedy=remedy, extra=extra).split("\0") if name
    ]


def reason(result: subprocess.CompletedProcess[str]) -> str:
    """Return in one line why git failed."""
    return " ".join(result.stderr.split()) or "no reason given"


def is_binary(content: bytes) -> bool:
    """Tell whether git takes a file with this content, or at least this beginning, for binary."""
    return b"\0" in content[:_BINARY_PROBE]


def blob_contents(blobs: Iterable[str], cwd: Path) -> dict[str, bytes]:
    """Return the content of each blob; a blob that the repository does not have is left out."""
    stdin = "".join(f"{blob}\n" for blob in blobs).encode()
    result = subprocess.run(["git", "cat-file", "--batch"], cwd=cwd, input=stdin, capture_output=True, check=False)  # noqa: S607
    stream, found = io.BytesIO(result.stdout), {}
    while words := stream.readline().split():
        if words[1] == b"blob":
            found[words[0].decode()] = stream.read(int(words[2]))
            stream.read(1)
    return found


def describe_failure(command: Sequence[str], code: object, stderr: str) -> str:
    """Describe in one line how a git command that Copier ran has failed."""
    verb = next((word for word in command[1:] if word in _FETCHING), None)
    lines = [line for line in stderr.splitlines() if line.startswith(("fatal:", "error:"))]
    cause = lines[0].partition(": ")[2] if lines else f"exit code {code}"
    if verb:
        return f"git could not fetch the template: {cause}"
    return f"git failed ({shlex.join(['git', *command[1:]])}): {cause}"


def repository_option(repository: Path) -> str:
    """Return the option that selects a repository, as git may be configured not to discover bare ones."""
    inner = repository / ".git"
    return f"--git-dir={inner if inner.exists() else repository}"


def trust_command(stderr: str) -> str:
    """Return the command that git suggests for trusting another user's repository; empty if it suggests none."""
    lines = (line.strip() for line in stderr.splitlines())
    return next((line for line in lines if line.startswith("git config") and "safe.directory" in line), "")


def version() -> tuple[int, ...] | None:
    """Return git's version as numbers, or None if git is not installed."""
    if shutil.which("git") is None:
        return None
    result = subprocess.run(["git", "--version"], capture_output=True, text=True, check=False)  # noqa: S607
    match = re.search(r"\d+(\.\d+)+", result.stdout)
    return tuple(int(part) for part in match[0].split(".")) if match else None


def require() -> None:
    """Raise `ToolError` unless a recent enough git is installed."""
    found = version()
    if found is None:
        raise ToolError("git is not installed.", remedy="Install git (https://git-scm.com) and run the command again.")
    if found < OLDEST:
        raise ToolError(
            f"git {'.'.join(map(str, found))} is too old.",
            remedy=f"Install git {'.'.join(map(str, OLDEST))} or newer.",
        )


def start_repository(folder: Path, message: str) -> tuple[str, bool]:
    """Create a repository in `folder`, on branch main, whose first commit holds everything in it.

    This commit ignores the user's hooks, signing and global ignore list: a hook could refuse it, signing could wait
    for a passphrase, and the ignore list would hide files that an update must see.

    Returns:
        The id of the commit, and whether it had to use the fallback identity.

    Raises:
        ToolError: If git fails.
    """
    remedy = "Commit the new project yourself."
    checked("init", "--quiet", "--initial-branch=main", "--object-format=sha1", cwd=folder, remedy=remedy)
    quiet = ("-c", f"core.excludesFile={os.devnull}", "-c", "core.safecrlf=false")
    checked(*quiet, "add", "--all", cwd=folder, remedy=remedy)
    commit = (
        *("-c", "user.useConfigOnly=true", "-c", "commit.gpgSign=false", "-c", f"core.hooksPath={os.devnull}"),
        *("commit", "--quiet", "--no-verify", "--message", message),
    )
    fallback = run(*commit, cwd=folder).returncode != 0
    if fallback:
        checked(*commit, cwd=folder, extra=FALLBACK_IDENTITY, remedy=remedy)
    return checked("rev-parse", "HEAD", cwd=folder, remedy=remedy).strip(), fallback


def _verb(arguments: Sequence[str]) -> str:
    """Return git's subcommand, which may follow options like `-c name=value`."""
    words = iter(arguments)
    for word in words:
        if word == "-c":
            next(words)
        elif not word.startswith("-"):
            return word
    return "command"
