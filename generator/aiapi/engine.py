"""Rendering the template: the only module that knows Copier, which it imports on first use."""

from __future__ import annotations

import functools
import os
import tempfile
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiapi import git
from aiapi.errors import TemplateError
from aiapi.location import spellings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from aiapi.project import Project
    from aiapi.source import Source

ANSWERS_FILE = ".copier-answers.yml"


@dataclass(frozen=True)
class Rendered:
    """What a project's answers file says about how it was made."""

    answers: dict[str, str]
    commit: str
    template: str


def render(project: Project, folder: Path, scratch: Path) -> Rendered:
    """Render the project into `folder`, which must not exist; temporary clones live and die under `scratch`.

    Raises:
        TemplateError: When the template cannot be fetched or rendered.
        KeyboardInterrupt: When the user left a prompt.
    """
    import copier  # noqa: PLC0415 - costs 0.6 s

    with _working(project.source, scratch):
        copier.run_copy(
            project.source.location,
            folder,
            dict(project.answers),
            vcs_ref=project.source.ref,
            defaults=not project.ask,
            quiet=True,
        )
    return read_answers(folder)


def render_as_recorded(recorded: Rendered, source: Source, folder: Path, scratch: Path) -> None:
    """Render into `folder`, which must not exist, what the template gave for these answers at that commit.

    Raises:
        TemplateError: When that version of the template cannot be fetched or rendered.
    """
    import copier  # noqa: PLC0415 - costs 0.6 s

    with _working(source, scratch):
        answers = dict(recorded.answers)
        copier.run_copy(recorded.template, folder, answers, vcs_ref=recorded.commit, defaults=True, quiet=True)


def update(folder: Path, ref: str | None, answers: Mapping[str, str], source: Source, scratch: Path) -> Rendered:
    """Merge another version of the template, or other answers, into a project as `copier update` does.

    Without a `ref` it is the newest release. Questions that are new are answered with their defaults.

    Raises:
        TemplateError: When a version of the template cannot be fetched or rendered, or is older than the project's.
    """
    import copier  # noqa: PLC0415 - costs 0.6 s

    with _working(source, scratch):
        copier.run_update(folder, dict(answers), vcs_ref=ref, defaults=True, overwrite=True, quiet=True)
    return read_answers(folder)


def read_answers(folder: Path) -> Rendered:
    """Read the answers file of a project.

    Raises:
        TemplateError: When there is none, it cannot be read, or it names no template version.
    """
    import yaml  # noqa: PLC0415 - loaded by Copier anyway

    try:
        recorded: Any = yaml.safe_load((folder / ANSWERS_FILE).read_text("utf-8"))
    except FileNotFoundError:
        recorded = {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise _damaged("cannot be read") from error
    if not isinstance(recorded, dict):
        raise _damaged("holds no answers")
    commit, template = recorded.pop("_commit", None), recorded.pop("_src_path", None)
    if not commit or not template:
        raise TemplateError(
            f"The project records no template version in {ANSWERS_FILE}, so it could never be updated.",
            remedy="Use a template that is a git repository and ships its answers file.",
        )
    return Rendered({str(key): str(value) for key, value in recorded.items()}, str(commit), str(template))


def _damaged(how: str) -> TemplateError:
    return TemplateError(
        f"{ANSWERS_FILE} {how}: it is damaged.", remedy=f"Put back the last good one: git log -- {ANSWERS_FILE}"
    )


@contextmanager
def _working(source: Source, scratch: Path) -> Iterator[None]:
    """Let Copier work so that what it gives depends on project and template alone, not on its user's git settings."""
    from plumbum import local  # noqa: PLC0415 - Copier's own

    with (
        _clones_in(scratch),
        _stand_in(source, scratch),
        _modes_asked_once(),
        _paths_compiled_once(),
        _translated(),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")  # what Copier warns of (local changes, shallow clones) is said by `source`
        with local.env(**git.plain(dict(local.env))):
            yield


@contextmanager
def _clones_in(scratch: Path) -> Iterator[None]:
    """Keep Copier's temporary clones where an interrupt is sure to clear them."""
    before, tempfile.tempdir = tempfile.tempdir, str(scratch)
    try:
        yield
    finally:
        tempfile.tempdir = before


@contextmanager
def _modes_asked_once() -> Iterator[None]:
    """Let git tell once for each folder, not for each file, whether it sees which files can be executed.

    Copier starts a process for every file that it writes: a third of the time of an update. Where git does see it, as
    by default, there is nothing for Copier to do.
    """
    from copier._main import Worker  # noqa: PLC0415

    name = "_sync_git_index_executable_bit"
    tell_git = getattr(Worker, name, None)
    if tell_git is None:  # another release of Copier, with another way
        yield
        return

    @functools.cache
    def blind(folder: Path) -> bool:
        return git.ask("config", "--type=bool", "--get", "core.fileMode", cwd=folder) == "false"

    def tell_if_blind(worker: Worker, path: Path, mode: int) -> None:
        if blind(worker.subproject.local_abspath):
            tell_git(worker, path, mode)

    setattr(Worker, name, tell_if_blind)
    try:
        yield
    finally:
        setattr(Worker, name, tell_git)


@contextmanager
def _paths_compiled_once() -> Iterator[None]:
    """Let Jinja compile once, not for each file, the name of a folder and of the answers file.

    Copier renders every part of every path as a template of its own: a third of the time of an update.
    """
    from copier._jinja_ext import SandboxedEnvironment  # noqa: PLC0415

    name = "compile"
    compile_anew = getattr(SandboxedEnvironment, name)
    compiled: dict[tuple[SandboxedEnvironment, object], object] = {}

    def compile_once(environment: SandboxedEnvironment, source: object, *place: object) -> object:
        if place:  # a file, which is rendered once
            return compile_anew(environment, source, *place)
        key = (environment, source)
        if key not in compiled:
            compiled[key] = compile_anew(environment, source)
        environment.preprocess(str(source))  # by which extensions hear that a template begins
        return compiled[key]

    setattr(SandboxedEnvironment, name, compile_once)
    try:
        yield
    finally:
        setattr(SandboxedEnvironment, name, compile_anew)


@contextmanager
def _stand_in(source: Source, scratch: Path) -> Iterator[None]:
    """Let git take a local checkout or bundle wherever it is told the recorded URL, so that nothing is fetched."""
    if source.checkout is None:
        yield
        return
    from plumbum import local  # noqa: PLC0415 - Copier's own; it reads os.environ only once

    count = int(local.env.get("GIT_CONFIG_COUNT", "0"))
    settings = {"GIT_CONFIG_COUNT": str(count + 2)}
    for number, form in enumerate(spellings(source.location), start=count):
        settings[f"GIT_CONFIG_KEY_{number}"] = f"url.{source.checkout}.insteadOf"
        settings[f"GIT_CONFIG_VALUE_{number}"] = form
    # Copier keeps mirrors of what it fetched; this one holds unpublished work and must not outlive the command.
    before = os.environ.get("COPIER_CACHE_DIR")
    os.environ["COPIER_CACHE_DIR"] = str(scratch / "mirrors")
    try:
        with local.env(**settings):
            yield
    finally:
        if before is None:
            del os.environ["COPIER_CACHE_DIR"]
        else:
            os.environ["COPIER_CACHE_DIR"] = before


@contextmanager
def _translated() -> Iterator[None]:
    """Turn Copier's failures into one line each; an interrupted prompt stays a KeyboardInterrupt."""
    from copier.errors import CopierError, InteractiveSessionError  # noqa: PLC0415
    from jinja2 import TemplateError as JinjaError  # noqa: PLC0415
    from plumbum import ProcessExecutionError  # noqa: PLC0415

    try:
        yield
    except KeyboardInterrupt:  # Copier's own is one of its errors too
        raise
    except InteractiveSessionError as error:  # Ctrl-D; whether there is a terminal was checked before
        raise KeyboardInterrupt from error
    except ProcessExecutionError as error:
        told = git.told(error.argv, error.retcode, str(error.stderr))
        raise TemplateError(told, remedy="Check the source, and that git works in the project.") from error
    except JinjaError as error:
        place = f"{getattr(error, 'name', None) or 'a path'}, line {getattr(error, 'lineno', None) or '?'}"
        raise TemplateError(f"The template does not render ({place}): {error}") from error
    except (CopierError, ValueError, OSError) as error:
        line = " ".join(str(error).split()) or type(error).__name__
        raise TemplateError(f"The template does not render: {line}") from error
