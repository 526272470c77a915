"""Find the template for a project, and the location to record so that the project can be updated."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from aiapi import bundle, git, options
from aiapi.errors import TemplateError
from aiapi.location import is_file_url, local_path, on_network, recordable, same, without_password

if TYPE_CHECKING:
    from aiapi.engine import Rendered

__all__ = ["Source", "find", "local_path", "of_project", "recordable"]


@dataclass(frozen=True)
class Source:
    """The location of a template.

    `location` and `ref` are passed to Copier, and `location` is recorded in the project; without a `ref` Copier takes
    the newest release. `checkout` is a local repository or bundle that is used instead of `location`, so that nothing
    is fetched. `questions` is None if they are known only after fetching.
    """

    location: str
    ref: str | None = None
    checkout: Path | None = None
    questions: tuple[options.Option, ...] | None = None
    given: str | None = None
    warnings: tuple[str, ...] = ()


def find(given: str | None) -> Source:
    """Return the given source, or by default that of this installation.

    Raises:
        TemplateError: If there is none, or its projects could never be updated.
    """
    if given is not None:
        return _given(given)
    root = options.HERE.parents[1]
    # An unpacked sdist looks like a checkout, but only its bundle has the history of the template.
    if _is_template(root) and not (bundle.PATH.is_file() and not (root / ".git").exists()):
        return _checkout(root)
    return _installed()


def of_project(recorded: Rendered) -> Source:
    """Return the source from which a project is updated.

    If the recorded source is the repository of this installation, the installation is used instead, at its own commit.
    Any other source is used at its newest release.

    Raises:
        TemplateError: If the source is a path that no longer exists, or the project is newer than this installation.
    """
    location = recorded.template
    path = local_path(location)
    try:
        ours = find(None)
    except TemplateError:
        ours = None
    if ours:
        place = ours.checkout or Path(ours.location)
        is_place = path is not None and path.resolve() == place.resolve()
        if is_place or same(location, ours.location):
            _require_known(recorded.commit, place)
            warnings = tuple(warning for warning in ours.warnings if warning != _only_here(ours.location))
            return replace(ours, location=location, checkout=None if is_place else ours.checkout, warnings=warnings)
    if path and not path.exists():
        raise TemplateError(
            f"The template of this project is recorded as {location}, which no longer exists.",
            remedy="Restore it, or record its new location: aiapi relink FOLDER_OR_GIT_URL",
        )
    return Source(location)


def _given(given: str) -> Source:
    path = Path(given).expanduser()
    if not path.exists():
        _refuse_credentials(given)
        if is_file_url(given):
            return Source(recordable(given), given=given, warnings=(_only_here(given),))
        if on_network(given):
            return Source(given, given=given)
        raise TemplateError(f"There is no template at {given}.", remedy="Pass an existing folder, or a git URL.")
    path = path.resolve()
    if path.is_file() or not (path / "copier.yml").is_file():  # a bundle or a bare repository
        return Source(str(path), given=given, warnings=(_only_here(path),))
    head, questions, warnings = _inspect(path)
    return Source(str(path), head, None, questions, given, (*warnings, _only_here(path)))


def _refuse_credentials(given: str) -> None:
    """Raise `TemplateError` for a URL with a user or password: it would be printed, recorded and shared."""
    if "://" in given and (clean := without_password(given)) != given:
        raise TemplateError(
            "The URL of the template contains a user or password, which would be recorded and shared.",
            remedy=f"Pass {clean}, and let a git credential helper log in: git help credentials",
        )


def _checkout(root: Path) -> Source:
    head, questions, warnings = _inspect(root)
    url = git.output("config", "--get", "remote.origin.url", cwd=root) or ""
    published = on_network(url) and git.output("for-each-ref", "--contains=HEAD", "refs/remotes/origin", cwd=root)
    if published:
        return Source(recordable(url), head, root, questions, None, warnings)
    return Source(str(root), head, None, questions, None, (*warnings, _only_here(root)))


def _installed() -> Source:
    """Return the checkout from which aiapi was installed, or the bundle in place of the published repository."""
    origin = bundle.origin()
    url = str(origin.get("url", ""))
    folder = local_path(url) if "dir_info" in origin else None
    if folder and _is_template(folder) and (folder / ".git").exists():
        return _checkout(folder)
    head = bundle.heads(bundle.PATH).get("HEAD")
    location = recordable(url) if "vcs_info" in origin else bundle.canonical_url()
    if head is None or location is None:
        raise TemplateError(
            "This installation of aiapi is damaged: it has lost its template.",
            remedy="Install aiapi again, or pass a template: --template FOLDER_OR_GIT_URL.",
        )
    warnings = (_only_here(location),) if is_file_url(location) else ()
    if folder:
        warnings = (
            f"aiapi was installed from {folder}, which is no longer a git checkout. {_maybe_unpublished(location)}",
        )
    return Source(location, head, bundle.PATH, options.bundled(), None, warnings)


def _is_template(root: Path) -> bool:
    try:
        return (root / "copier.yml").is_file() and (root / "template").is_dir()
    except PermissionError:
        return False


def _inspect(root: Path) -> tuple[str, tuple[options.Option, ...], tuple[str, ...]]:
    """Return the commit at HEAD, its questions, and a warning if the working tree differs from it."""
    answer = git.run("rev-parse", "--show-toplevel", "HEAD", cwd=root)
    top, _, head = answer.stdout.strip().partition("\n")
    if answer.returncode or Path(top).resolve() != root.resolve():
        if command := git.trust_command(answer.stderr):
            raise TemplateError(
                f"The template at {root} belongs to another user.", remedy=f"If you trust it: {command}"
            )
        raise TemplateError(
            f"The template at {root} is not the root of a git repository with a commit.",
            remedy="Clone it with git, or commit it: otherwise its projects can never be updated.",
        )
    changed = git.output("status", "--porcelain", "--", "copier.yml", "template", cwd=root)
    if not changed:
        return head, options.parse((root / "copier.yml").read_text("utf-8")), ()
    text = git.output("show", "HEAD:copier.yml", cwd=root)
    if text is None:
        raise TemplateError(f"The template at {root} has no committed copier.yml.", remedy="Commit it.")
    count = len(changed.splitlines())
    warning = f"{count} uncommitted change{'s' * (count > 1)} in {root} left out: the template at HEAD is used."
    return head, options.parse(text), (warning,)


def _require_known(commit: str, place: Path) -> None:
    """Raise `TemplateError` unless the installation's template has the project's version."""
    if bundle.knows(place, commit) if place.is_file() else bundle.commit_of(commit, place):
        return
    from aiapi import releases  # noqa: PLC0415 - only for this failure

    if place.is_dir() and commit.removeprefix("v") in releases.untagged(place):
        remedy = releases.tags_remedy(place)
    else:
        remedy = "Upgrade aiapi (e.g. `uv tool upgrade aiapi`), or update from the source itself: copier update"
    raise TemplateError(f"This aiapi does not have {commit}, the template version of the project.", remedy=remedy)


def _only_here(place: Path | str) -> str:
    return f"This project can be updated on this machine only: its template is recorded as {place}."


def _maybe_unpublished(location: str) -> str:
    return f"The template is recorded as {location}; if its commit is not published there, updates will not find it."
