"""Which template a project is made from, and what is recorded so that it can be updated."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from urllib.request import url2pathname

from aiapi import git, options
from aiapi.errors import TemplateError

_NETWORK = re.compile(r"^(https?://|ssh://|git://|git\+|gh:|gl:|[\w.-]+@[\w.-]+:)")
NO_TEMPLATE = "This installation came without a template."


@dataclass(frozen=True)
class Source:
    """Where the template is.

    `location` and `ref` go to Copier and `location` is recorded in the project; without a `ref` Copier takes the
    newest release. `checkout` is a local repository that stands in for `location`, so that nothing is fetched.
    `questions` is None where they are known only after fetching.
    """

    location: str
    ref: str | None = None
    checkout: Path | None = None
    questions: tuple[options.Option, ...] | None = None
    given: str | None = None
    warnings: tuple[str, ...] = ()


def find(given: str | None) -> Source:
    """Decide on the source: the one that is given, else the one that this installation was made from.

    Raises:
        TemplateError: When there is none, or projects made from it could never be updated.
    """
    if given is not None:
        return _given(given)
    if _is_checkout(root := options.HERE.parents[1]):
        return _checkout(root)
    return _installed()


def _given(given: str) -> Source:
    path = Path(given).expanduser()
    if not path.exists():
        if _NETWORK.match(given):
            return Source(_without_password(given), given=given)
        raise TemplateError(f"There is no template at {given}.", remedy="Give a folder that exists, or a git URL.")
    path = path.resolve()
    if path.is_file() or not (path / "copier.yml").is_file():  # a bundle or a bare repository
        return Source(str(path), given=given, warnings=(_only_here(path),))
    head, questions, warnings = _inspect(path)
    return Source(str(path), head, None, questions, given, (*warnings, _only_here(path)))


def _checkout(root: Path) -> Source:
    head, questions, warnings = _inspect(root)
    url = git.ask("config", "--get", "remote.origin.url", cwd=root) or ""
    published = _NETWORK.match(url) and git.ask("for-each-ref", "--contains=HEAD", "refs/remotes/origin", cwd=root)
    if published:
        return Source(_recordable(url), head, root, questions, None, warnings)
    return Source(str(root), head, None, questions, None, (*warnings, _only_here(root)))


def _installed() -> Source:
    from importlib.metadata import PackageNotFoundError, distribution  # noqa: PLC0415 - not for checkouts

    try:
        origin = json.loads(distribution("aiapi").read_text("direct_url.json") or "{}")
    except PackageNotFoundError:
        origin = {}
    url = origin.get("url", "")
    if commit := origin.get("vcs_info", {}).get("commit_id"):
        return Source(_recordable(url), commit, None, options.bundled() or None)
    if url.startswith("file://") and _is_checkout(root := Path(url2pathname(urlsplit(url).path))):
        return _checkout(root)
    raise TemplateError(NO_TEMPLATE, remedy="Name one: --template FOLDER_OR_GIT_URL.")


def _is_checkout(root: Path) -> bool:
    return (root / "copier.yml").is_file() and (root / "template").is_dir()


def _inspect(root: Path) -> tuple[str, tuple[options.Option, ...], tuple[str, ...]]:
    """Return the commit at HEAD, its questions, and a warning when the working tree differs from it."""
    answer = git.attempt("rev-parse", "--show-toplevel", "HEAD", cwd=root)
    top, _, head = answer.stdout.strip().partition("\n")
    if answer.returncode or Path(top).resolve() != root.resolve():
        if "dubious ownership" in answer.stderr:
            remedy = f"If you trust it: git config --global --add safe.directory {shlex.quote(str(root))}"
            raise TemplateError(f"The template at {root} belongs to another user.", remedy=remedy)
        raise TemplateError(
            f"The template at {root} is not a git repository of its own with a commit at HEAD.",
            remedy="Clone it with git (or commit it): projects made from anything else can never be updated.",
        )
    changed = git.ask("status", "--porcelain", "--", "copier.yml", "template", cwd=root)
    if not changed:
        return head, options.parse((root / "copier.yml").read_text("utf-8")), ()
    text = git.ask("show", "HEAD:copier.yml", cwd=root)
    if text is None:
        raise TemplateError(f"The template at {root} has no committed copier.yml.", remedy="Commit it.")
    count = len(changed.splitlines())
    warning = f"{count} uncommitted change{'s' * (count > 1)} in {root} left out: the project is made from HEAD."
    return head, options.parse(text), (warning,)


def _only_here(path: Path) -> str:
    return f"Updates of this project will work on this machine only: its template is recorded as {path}."


def _recordable(url: str) -> str:
    """Return a URL that Copier takes for a git repository, without a password in it."""
    url = _without_password(url)
    known = url.endswith(".git") or url.startswith(("git+", "git@", "git://", "gh:", "gl:"))
    return url if known else f"git+{url}"


def _without_password(url: str) -> str:
    """Drop user and password from a web address: what is recorded is committed and shared."""
    parts = urlsplit(url)
    if parts.scheme.removeprefix("git+") not in {"http", "https"}:
        return url
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
