"""Look up the releases of a template's source, and compare versions."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import tempfile
import tomllib
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.version import InvalidVersion, Version

from aiapi import bundle, git
from aiapi.errors import TemplateError
from aiapi.location import address

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LIST = "docs/releases.toml"
PATIENCE_SECONDS = 15
CLONING_SECONDS = 300
_TIMED_OUT = 124
_DESCRIBED = re.compile(r"(.+)-(\d+)-g([0-9a-f]+)")
_HASH = re.compile(r"[0-9a-f]{7,64}")
# What git and ssh print if the network may be to blame, not the source.
_OFFLINE = re.compile(
    r"could not resolve|couldn't connect|failed to connect|connection (refused|reset|timed out|closed)|unreachable"
    r"|no route to host|temporary failure|name or service not known|timed out|returned error: (407|429|5\d\d)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Answer:
    """A source's answer: the names of its tags, or the `problem` if it did not answer.

    `offline` is true if the network may be to blame rather than the source.
    """

    tags: frozenset[str] = frozenset()
    problem: str = ""
    offline: bool = False


def parse(described: str) -> Version | None:
    """Return the version that Copier reads from a tag or `git describe` output, or None if it is not a version."""
    past = _DESCRIBED.fullmatch(described)
    if past is None and _HASH.fullmatch(described):
        return None
    with suppress(InvalidVersion):
        return Version(f"{past[1]}.post{past[2]}.dev0+{past[3]}" if past else described)
    return None


def latest(tags: Iterable[str]) -> str | None:
    """Return the tag of the newest release, without pre-releases and tags that are not versions."""
    known = {tag: version for tag in tags if (version := parse(tag)) and not version.is_prerelease}
    return max(known, key=lambda tag: (known[tag], tag), default=None)


def ask(location: str, base: Path | None = None) -> Answer:
    """Ask a source for its tags, for at most 15 seconds; paths are relative to `base`."""
    place = address(location, base or Path.cwd())
    if Path(place).is_absolute() and not Path(place).exists():
        return Answer(problem=f"{place} does not exist")
    result = _patiently("ls-remote", "--tags", "--refs", "--", place, seconds=PATIENCE_SECONDS)
    if result.returncode:
        return Answer(problem=_reason(result.stderr), offline=_OFFLINE.search(result.stderr) is not None)
    return Answer(frozenset(line.partition("\trefs/tags/")[2] for line in result.stdout.splitlines()))


@contextmanager
def history(location: str, base: Path) -> Iterator[Path]:
    """Yield a repository with the history of a source: the source itself, or a temporary bare clone.

    Raises:
        TemplateError: If it cannot be cloned.
    """
    place = address(location, base)
    if Path(place).is_dir():
        yield Path(place)
        return
    with tempfile.TemporaryDirectory(prefix="aiapi-history-", ignore_cleanup_errors=True) as folder:
        words = ("clone", "--quiet", "--bare", *(["--filter=blob:none"] * (not Path(place).exists())), "--", place)
        result = _patiently(*words, folder, seconds=CLONING_SECONDS)
        if result.returncode:
            reason = _reason(result.stderr)
            raise TemplateError(f"Cannot clone {place}: {reason}.", remedy="Check the source.")
        yield Path(folder)


def listed(text: str) -> dict[str, str]:
    """Parse a list of releases: the commit of each version, in order."""
    return {version: str(commit) for version, commit in tomllib.loads(text).items()}


def untagged(repository: Path) -> tuple[str, ...]:
    """Return the listed releases whose tags a repository lacks, as in a clone without tags."""
    text = git.output(git.repository_option(repository), "show", f"HEAD:{LIST}", cwd=repository)
    try:
        versions = listed(text or "")
    except tomllib.TOMLDecodeError:
        return ()
    return tuple(version for version in versions if bundle.commit_of(f"refs/tags/v{version}", repository) is None)


def tags_remedy(place: Path | str) -> str:
    """Return the remedy for a clone without release tags."""
    return f"This clone lacks release tags. Create them: cd {shlex.quote(str(place))} && uv run poe tags"


def _patiently(*arguments: str, seconds: int) -> subprocess.CompletedProcess[str]:
    """Run git on the network; it cannot prompt, and a timeout or interrupt kills all of its processes."""
    command = ["git", *arguments]
    with subprocess.Popen(  # noqa: S603 - arguments are ours, no shell
        command,
        env={**os.environ, "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,  # without a terminal, on which ssh would prompt
    ) as process:
        try:
            stdout, stderr = process.communicate(timeout=seconds)
        except BaseException as error:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            return subprocess.CompletedProcess(command, _TIMED_OUT, "", f"fatal: timed out after {seconds} seconds")
    return subprocess.CompletedProcess(command, process.returncode, stdout, stderr)


def _reason(stderr: str) -> str:
    """Return the line of stderr that says why git failed."""
    lines = [
        line for line in stderr.splitlines() if line.strip() and not line.lower().startswith(("warning:", "hint:"))
    ]
    first = next((line for line in lines if line.startswith("fatal:")), (lines or ["no reason given"])[0])
    if first == "fatal: Could not read from remote repository.":  # what ssh printed before says more
        first = lines[0]
    return first.removeprefix("fatal: ").strip().rstrip(".")
