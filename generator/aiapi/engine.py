"""Render and merge the template with Copier, which no other module uses and which is imported on first use."""

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
    from types import ModuleType

    from aiapi.new_project import NewProject
    from aiapi.source import Source

ANSWERS_FILE = ".copier-answers.yml"


@dataclass(frozen=True)
class Rendered:
    """The contents of a project's answers file."""

    answers: dict[str, str]
    commit: str
    template: str


def render(project: NewProject, folder: Path, scratch: Path) -> Rendered:
    """Render the project into `folder`, which must not exist; `scratch` is for temporary clones.

    Raises:
        TemplateError: If the template cannot be fetched or rendered.
        KeyboardInterrupt: If the user left a prompt.
    """
    with _working(project.source, scratch) as copier:
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
    """Render the recorded template version with the recorded answers into `folder`, which must not exist.

    Raises:
        TemplateError: If that version of the template cannot be fetched or rendered.
    """
    with _working(source, scratch) as copier:
        answers = dict(recorded.answers)
        copier.run_copy(recorded.template, folder, answers, vcs_ref=recorded.commit, defaults=True, quiet=True)


def update(folder: Path, ref: str | None, answers: Mapping[str, str], source: Source, scratch: Path) -> Rendered:
    """Merge another version of the template, or other answers, into a project as `copier update` does.

    Without a `ref` the version is the newest release. New questions get their defaults.

    Raises:
        TemplateError: If a version of the template cannot be fetched or rendered, or is older than the project's.
    """
    with _working(source, scratch) as copier:
        copier.run_update(folder, dict(answers), vcs_ref=ref, defaults=True, overwrite=True, quiet=True)
    return read_answers(folder)


def read_answers(folder: Path) -> Rendered:
    """Read the answers file of a project.

    Raises:
        TemplateError: If it is missing or unreadable, or records no template version.
    """
    import yaml  # noqa: PLC0415 - loaded by Copier anyway

    try:
        recorded: Any = yaml.safe_load((folder / ANSWERS_FILE).read_text("utf-8"))
    except FileNotFoundError:
        recorded = {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise _damaged("cannot be read") from error
    if not isinstance(recorded, dict):
        raise _damaged("contains no answers")
    commit, template = recorded.pop("_commit", None), recorded.pop("_src_path", None)
    if not commit or not template:
        raise TemplateError(
            f"The project records no template version in {ANSWERS_FILE}, so it could never be updated.",
            remedy="Use a template that is a git repository and includes an answers file.",
        )
    return Rendered({str(key): str(value) for key, value in recorded.items()}, str(commit), str(template))


def _damaged(how: str) -> TemplateError:
    return TemplateError(
        f"{ANSWERS_FILE} {how}: it is damaged.", remedy=f"Restore the last good version: git log -- {ANSWERS_FILE}"
    )


@contextmanager
def _working(source: Source, scratch: Path) -> Iterator[ModuleType]:
    """Yield Copier, set up so that its result depends on project and template only, not on the user's git settings."""
    import copier  # noqa: PLC0415 - takes 0.6 s
    from plumbum import local  # noqa: PLC0415 - loaded by Copier anyway

    with (
        _translated(),
        _clones_in(scratch),
        _stand_in(source, scratch),
        _file_mode_read_once(),
        _paths_compiled_once(),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")  # `source` reports what Copier warns about: local changes, shallow clones
        with local.env(**git.isolated_config(dict(local.env))):
            yield copier


@contextmanager
def _clones_in(scratch: Path) -> Iterator[None]:
    """Keep Copier's temporary clones in a folder that is deleted even after an interrupt."""
    before, tempfile.tempdir = tempfile.tempdir, str(scratch)
    try:
        yield
    finally:
        tempfile.tempdir = before


@contextmanager
def _file_mode_read_once() -> Iterator[None]:
    """Make Copier read git's core.fileMode once per folder, not once per file: a third of the time of an update.

    Copier has to tell git which files are executable only if core.fileMode is false, which is not the default. This
    wraps a private method; without it, Copier runs unchanged.
    """
    try:
        from copier._main import Worker  # noqa: PLC0415

        original = Worker._sync_git_index_executable_bit  # noqa: SLF001
    except (ImportError, AttributeError):
        yield
        return

    @functools.cache
    def ignores_modes(folder: Path) -> bool:
        return git.output("config", "--type=bool", "--get", "core.fileMode", cwd=folder) == "false"

    def wrapper(worker: Any, *arguments: Any, **named: Any) -> None:  # noqa: ANN401 - Copier's own
        folder = getattr(getattr(worker, "subproject", None), "local_abspath", None)
        if folder is None or ignores_modes(folder):
            original(worker, *arguments, **named)

    with _replaced(Worker, original.__name__, wrapper):
        yield


@contextmanager
def _paths_compiled_once() -> Iterator[None]:
    """Make Jinja compile each part of a path once, not once per file: a third of the time of an update.

    This wraps a method of a private class; without it, Copier runs unchanged.
    """
    try:
        from copier._jinja_ext import SandboxedEnvironment  # noqa: PLC0415

        original = SandboxedEnvironment.compile
    except (ImportError, AttributeError):
        yield
        return
    compiled: dict[tuple[Any, object], object] = {}

    def wrapper(environment: Any, source: Any, *place: Any, **named: Any) -> object:  # noqa: ANN401 - Jinja's own
        if place or named:  # a file, which is rendered once
            return original(environment, source, *place, **named)
        key = (environment, source)
        if key not in compiled:
            compiled[key] = original(environment, source)
        environment.preprocess(str(source))  # tells extensions that a template begins
        return compiled[key]

    with _replaced(SandboxedEnvironment, original.__name__, wrapper):
        yield


@contextmanager
def _replaced(owner: type, name: str, value: object) -> Iterator[None]:
    """Replace a method of a class for the duration of the block."""
    own = vars(owner).get(name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if own is None:  # it was inherited
            delattr(owner, name)
        else:
            setattr(owner, name, own)


@contextmanager
def _stand_in(source: Source, scratch: Path) -> Iterator[None]:
    """Make git use a local checkout or bundle instead of the recorded URL, so that nothing is fetched."""
    if source.checkout is None:
        yield
        return
    from plumbum import local  # noqa: PLC0415 - loaded by Copier anyway; it reads os.environ only once

    count = int(local.env.get("GIT_CONFIG_COUNT", "0"))
    settings = {"GIT_CONFIG_COUNT": str(count + 2)}
    for number, form in enumerate(spellings(source.location), start=count):
        settings[f"GIT_CONFIG_KEY_{number}"] = f"url.{source.checkout}.insteadOf"
        settings[f"GIT_CONFIG_VALUE_{number}"] = form
    # Copier caches mirrors of what it fetches; this one contains unpublished work and must not outlive the command.
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
    """Turn Copier's failures into one-line errors; an interrupted prompt stays a KeyboardInterrupt."""
    from copier.errors import CopierError, InteractiveSessionError  # noqa: PLC0415
    from jinja2 import TemplateError as JinjaError  # noqa: PLC0415
    from plumbum import ProcessExecutionError  # noqa: PLC0415

    try:
        yield
    except KeyboardInterrupt:  # Copier's own is also a CopierError
        raise
    except InteractiveSessionError as error:  # Ctrl-D; there is a terminal, as was checked before
        raise KeyboardInterrupt from error
    except ProcessExecutionError as error:
        problem = git.describe_failure(error.argv, error.retcode, str(error.stderr))
        raise TemplateError(problem, remedy="Check the source, and that git works in the project.") from error
    except JinjaError as error:
        place = f"{getattr(error, 'name', None) or 'a path'}, line {getattr(error, 'lineno', None) or '?'}"
        raise TemplateError(f"The template does not render ({place}): {error}") from error
    except (CopierError, ValueError, OSError) as error:
        line = " ".join(str(error).split()) or type(error).__name__
        raise TemplateError(f"The template does not render: {line}") from error
