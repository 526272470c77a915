"""Run `aiapi relink`: check that another source has the project's template version, and record it."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from aiapi import bundle, command_hints, engine, git, releases, source
from aiapi.errors import ProjectError, TemplateError
from aiapi.location import on_network, without_password
from aiapi.project import find_project

if TYPE_CHECKING:
    from aiapi.project import Project
    from aiapi.report import Screen
    from aiapi.source import Source

_KEY = "_src_path"


def relink(given: str, folder: Path, screen: Screen) -> None:
    """Record another source for the project's template, if it has the project's version.

    Raises:
        AiapiError: If the source does not answer or lacks the version, or the answers file has uncommitted changes.
    """
    git.require()
    project = find_project(folder)
    wanted = source.find(without_password(given) if on_network(given) else given)
    location = source.recordable(wanted.location)
    before = project.recorded.template
    changed = location != before
    if changed:
        _refuse_changes(project)
        with screen.working("Looking up the project's version in the new source"):
            _check_version(location, project)
        _record(project.folder / engine.ANSWERS_FILE, location)
        for line in _warnings(given, wanted):
            screen.warn(line)
    commit = project.recorded.commit
    screen.result(_as_data(project, location, changed=changed))
    if not changed:
        screen.say(f"{location} is already recorded; nothing was changed.")
        return
    screen.say(f"{project.folder.name} will now be updated from {location}, which has its version {commit}.", "green")
    message = "'Record the new location of the template'"
    screen.say(f"Commit it: {command_hints.git_file_command(project, f'commit -m {message}', engine.ANSWERS_FILE)}")


def _warnings(given: str, wanted: Source) -> list[str]:
    # The last one warns about a path on this machine; uncommitted changes do not matter here.
    lines = list(wanted.warnings[-1:])
    if "@" in urlsplit(given).netloc and "@" not in urlsplit(wanted.location).netloc:
        lines.append(
            "User and password in the URL were dropped, because the recorded location is committed and shared."
        )
    return lines


def _refuse_changes(project: Project) -> None:
    changes = git.output("status", "--porcelain", "--", engine.ANSWERS_FILE, cwd=project.folder)
    if changes:
        drop = command_hints.git_file_command(project, "restore --staged --worktree", engine.ANSWERS_FILE)
        raise ProjectError(
            f"{engine.ANSWERS_FILE} has uncommitted changes.", remedy=f"Commit them, or drop them: {drop}"
        )


def _check_version(location: str, project: Project) -> None:
    """Raise an error unless the source is a template that has the project's version."""
    answer = releases.ask(location)
    place = Path(location)
    if (
        place.is_dir()
        and git.output(git.repository_option(place), "rev-parse", "--is-bare-repository", cwd=place) == "true"
    ):
        _refuse_bare(location)
    if answer.problem:
        raise TemplateError(
            f"{location} did not answer: {answer.problem}. Nothing was changed.",
            remedy="Try again with a network." if answer.offline else "Pass the git URL or the folder of the template.",
        )
    commit = project.recorded.commit
    with releases.history(location, Path.cwd()) as repository:
        known = bundle.commit_of(commit, repository)
        files = (
            git.output(git.repository_option(repository), "ls-tree", "--name-only", known, cwd=repository)
            if known
            else None
        )
        untagged = releases.untagged(repository) if place.is_dir() else ()
    if known is None:
        missing = commit.removeprefix("v") in untagged
        raise TemplateError(
            f"{location} does not have {commit}, the template version of this project. Nothing was changed.",
            remedy=releases.tags_remedy(location)
            if missing
            else "Pass a source with the complete history of the template.",
        )
    if not {"copier.yml", "copier.yaml"} & set((files or "").splitlines()):
        raise TemplateError(
            f"{location} is not a template: at {commit} it has no copier.yml. Nothing was changed.",
            remedy="Pass the git URL or the folder of the template.",
        )


def _refuse_bare(location: str) -> None:
    """Raise `TemplateError` for a bare repository that Copier does not recognise, as its name lacks `.git`."""
    if not location.endswith(".git"):
        raise TemplateError(
            f"Copier does not recognise the bare repository {location} by its path. Nothing was changed.",
            remedy=f"Pass it as git+{Path(location).as_uri()}",
        )


def _record(file: Path, location: str) -> None:
    """Replace the recorded source in the answers file, and keep every other byte."""
    import yaml  # noqa: PLC0415 - loaded by reading the answers anyway

    text = file.read_bytes().decode("utf-8")
    root = yaml.compose(text, yaml.SafeLoader)
    pairs = root.value if root else []
    value = [node for key, node in pairs if key.value == _KEY][-1]
    line = yaml.safe_dump({_KEY: location}, width=len(location) + 100, allow_unicode=True)
    written = line.removeprefix(f"{_KEY}: ").removesuffix("\n")
    new = text[: value.start_mark.index] + written + text[value.end_mark.index :]
    if yaml.safe_load(new) != {**yaml.safe_load(text), _KEY: location}:
        raise ProjectError(
            f"{_KEY} in {file.name} is written in a form that cannot be changed safely. Nothing was changed.",
            remedy=f"Change it by hand to: {line.strip()}",
        )
    _replace(file.resolve(), new.encode("utf-8"))


def _replace(file: Path, content: bytes) -> None:
    """Replace a file atomically."""
    number, name = tempfile.mkstemp(prefix=f"{file.name}.", dir=file.parent)
    try:
        with os.fdopen(number, "wb") as stream:
            stream.write(content)
        shutil.copymode(file, name)
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _as_data(project: Project, location: str, *, changed: bool) -> dict[str, Any]:
    return {
        "ok": True,
        "project": str(project.folder),
        "source": location,
        "before": project.recorded.template,
        "version": project.recorded.commit,
        "changed": changed,
    }
