"""The course of `aiapi relink`: another source for a project's template, recorded once it is proven to have it."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from aiapi import advice, bundle, engine, git, living, releases, source
from aiapi.errors import ProjectError, TemplateError
from aiapi.location import on_network, without_password

if TYPE_CHECKING:
    from aiapi.living import Living
    from aiapi.report import Screen
    from aiapi.source import Source

_KEY = "_src_path"


def relink(given: str, folder: Path, screen: Screen) -> None:
    """Record another source for the project's template; nothing is changed unless the source has its version.

    Raises:
        AiapiError: When the source cannot be asked, lacks the version, or the answers file has other changes.
    """
    git.require()
    project = living.find(folder)
    wanted = source.find(without_password(given) if on_network(given) else given)
    location = source.recordable(wanted.location)
    before = project.recorded.template
    changed = location != before
    if changed:
        _refuse_changes(project)
        with screen.working("Looking for the project's version in the new source"):
            _prove(location, project)
        _record(project.folder / engine.ANSWERS_FILE, location)
        for line in _warnings(given, wanted):
            screen.warn(line)
    commit = project.recorded.commit
    screen.result(_as_data(project, location, changed=changed))
    if not changed:
        screen.say(f"{location} is recorded already; nothing was changed.")
        return
    screen.say(f"{project.folder.name} is now updated from {location}, which has its version {commit}.", "green")
    message = "'Take the template from its new place'"
    screen.say(f"Commit it: {advice.with_git_on(project, f'commit -m {message}', engine.ANSWERS_FILE)}")


def _warnings(given: str, wanted: Source) -> list[str]:
    # The last one says that a path works on this machine only; uncommitted changes there are of no concern here.
    lines = list(wanted.warnings[-1:])
    if "@" in urlsplit(given).netloc and "@" not in urlsplit(wanted.location).netloc:
        lines.append("User and password in the URL were left out, because what is recorded is committed and shared.")
    return lines


def _refuse_changes(project: Living) -> None:
    changes = git.ask("status", "--porcelain", "--", engine.ANSWERS_FILE, cwd=project.folder)
    if changes:
        drop = advice.with_git_on(project, "restore --staged --worktree", engine.ANSWERS_FILE)
        raise ProjectError(
            f"{engine.ANSWERS_FILE} has changes that are not committed.", remedy=f"Commit them, or drop them: {drop}"
        )


def _prove(location: str, project: Living) -> None:
    """Raise unless the source is a template that has the version which the project is made from."""
    answer = releases.ask(location)
    place = Path(location)
    if place.is_dir() and git.ask(git.at(place), "rev-parse", "--is-bare-repository", cwd=place) == "true":
        _refuse_bare(location)
    if answer.problem:
        raise TemplateError(
            f"{location} could not be asked: {answer.problem}. Nothing was changed.",
            remedy="Try again with a network." if answer.offline else "Give the git URL or the folder of the template.",
        )
    commit = project.recorded.commit
    with releases.history(location, Path.cwd()) as repository:
        known = bundle.commit_of(commit, repository)
        files = git.ask(git.at(repository), "ls-tree", "--name-only", known, cwd=repository) if known else None
        untagged = releases.untagged(repository) if place.is_dir() else ()
    if known is None:
        missing = commit.removeprefix("v") in untagged
        raise TemplateError(
            f"{location} does not have {commit}, the version which this project is made from. Nothing was changed.",
            remedy=releases.tags_remedy(location)
            if missing
            else "Give a source with the whole history of the template.",
        )
    if not {"copier.yml", "copier.yaml"} & set((files or "").splitlines()):
        raise TemplateError(
            f"{location} is no template: at {commit} it has no copier.yml. Nothing was changed.",
            remedy="Give the git URL or the folder of the template.",
        )


def _refuse_bare(location: str) -> None:
    """Copier takes a folder without files for a repository only by its name."""
    if not location.endswith(".git"):
        raise TemplateError(
            f"Copier does not recognise the bare repository {location} by its path. Nothing was changed.",
            remedy=f"Give it as git+{Path(location).as_uri()}",
        )


def _record(file: Path, location: str) -> None:
    """Replace the recorded source in the answers file and leave every other byte as it is."""
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
            f"{_KEY} in {file.name} is written in a way that cannot be changed safely. Nothing was changed.",
            remedy=f"Change it by hand to: {line.strip()}",
        )
    _replace(file.resolve(), new.encode("utf-8"))


def _replace(file: Path, content: bytes) -> None:
    """Write a file as a whole or not at all."""
    number, name = tempfile.mkstemp(prefix=f"{file.name}.", dir=file.parent)
    try:
        with os.fdopen(number, "wb") as stream:
            stream.write(content)
        shutil.copymode(file, name)
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _as_data(project: Living, location: str, *, changed: bool) -> dict[str, Any]:
    return {
        "ok": True,
        "project": str(project.folder),
        "source": location,
        "before": project.recorded.template,
        "version": project.recorded.commit,
        "changed": changed,
    }
