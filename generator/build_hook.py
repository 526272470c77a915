"""What a build adds to the package: a git bundle of the template, and the questions as they are in it."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import tomllib
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

if TYPE_CHECKING:
    from collections.abc import Mapping

PACKAGE = "generator/aiapi"
QUESTIONS, BUNDLE, RELEASES = "copier.yml", "template.bundle", "docs/releases.toml"
# Set while git runs a hook; inherited, they would point every call below at another repository.
MISLEADING = {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR", "GIT_PREFIX"}
NO_GIT = 127
UNCONFIGURED = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
# As `uv run poe tags` makes them.
TAGGER = {"GIT_COMMITTER_NAME": "aiapi", "GIT_COMMITTER_EMAIL": "aiapi@localhost"}


class BuildError(Exception):
    """Why the bundle cannot be made, and the remedy."""


class TemplateHook(BuildHookInterface):  # type: ignore[type-arg]
    """Carries the template in sdist and wheel; an editable installation uses its checkout instead."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the bundle and the questions to what is built; an unpacked sdist brings them along."""
        root = Path(self.root)
        if version == "editable" or all((root / PACKAGE / name).is_file() for name in (QUESTIONS, BUNDLE)):
            return
        self.scratch = TemporaryDirectory(prefix="aiapi-build-")
        scratch = Path(self.scratch.name)
        try:
            for warning in carry(root, scratch):
                self.app.display_warning(f"Warning: {warning}")
        except BuildError as error:
            self.app.abort(f"aiapi cannot be built: {error}")
        place = PACKAGE if self.target_name == "sdist" else "aiapi"
        build_data["force_include"] |= {str(scratch / name): f"{place}/{name}" for name in (QUESTIONS, BUNDLE)}

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        """Clear away what was made for the build."""
        if hasattr(self, "scratch"):
            self.scratch.cleanup()


def carry(root: Path, folder: Path) -> list[str]:
    """Put the bundle of the checkout at `root` and the questions of its HEAD into `folder`; returns warnings.

    Raises:
        BuildError: When `root` is no complete git checkout, or its tags contradict docs/releases.toml.
    """
    _require_history(root)
    _complete(root, folder)
    repository = folder / "repository.git"
    _git(folder, "init", "--quiet", "--bare", "--template=", str(repository), extra=UNCONFIGURED)
    objects = (root / _git(root, "rev-parse", "--git-path", "objects").strip()).resolve()
    (repository / "objects/info").mkdir(exist_ok=True)
    (repository / "objects/info/alternates").write_text(f"{objects.as_posix()}\n", "utf-8")
    head = _git(root, "rev-parse", "--verify", "HEAD^{commit}").strip()
    _git(repository, "update-ref", "--no-deref", "HEAD", head, extra=UNCONFIGURED)
    tags = _put_tags(root, repository)
    # Packed anew, so that the bundle depends on the history alone and not on how the checkout has stored it.
    alone = ("-c", "pack.threads=1")
    _git(repository, *alone, "repack", "-a", "-d", "-F", "-q", extra=UNCONFIGURED)
    refs = ["HEAD", *(f"refs/tags/{tag}" for tag in tags)]
    _git(repository, *alone, "bundle", "create", "--quiet", str(folder / BUNDLE), *refs, extra=UNCONFIGURED)
    (folder / QUESTIONS).write_text(_git(root, "show", f"HEAD:{QUESTIONS}"), "utf-8")
    changed = _git(root, "status", "--porcelain", "--", QUESTIONS, "template").splitlines()
    count = f"{len(changed)} uncommitted change{'s' * (len(changed) > 1)}"
    return [f"{count} of the template left out: the bundle holds HEAD."] if changed else []


def _require_history(root: Path) -> None:
    """Raise `BuildError` unless `root` is a git checkout of its own with its full history."""
    found = _attempt(root, "rev-parse", "--show-toplevel")
    if "dubious ownership" in found.stderr:
        remedy = f"git config --global --add safe.directory {shlex.quote(str(root))}"
        raise BuildError(f"{root} belongs to another user. If you trust it: {remedy}")
    if found.returncode or Path(found.stdout.strip()).resolve() != root.resolve():
        missing = found.returncode == NO_GIT
        reason = "git is not installed" if missing else f"{root} is neither a git checkout nor an sdist"
        raise BuildError(f"{reason}, so there is no history to update projects with. Build from a full git clone.")
    if _git(root, "rev-parse", "--is-shallow-repository").strip() == "true":
        raise BuildError(
            f"{root} is a shallow clone. Fetch the rest of its history first: git fetch --unshallow --tags"
        )


def _complete(root: Path, scratch: Path) -> None:
    """Fetch whatever a partial clone (as pip makes it) has left out of HEAD's history."""
    if _attempt(root, "config", "--get-regexp", r"^remote\..*\.promisor$").returncode:
        return
    # Packing is the one command that fetches everything that is missing at once; the pack itself is of no use.
    bundle = str(scratch / "complete.bundle")
    packed = _attempt(root, "-c", "pack.window=0", "bundle", "create", "--quiet", bundle, "HEAD")
    if packed.returncode:
        raise BuildError(
            f"{root} is a partial clone, and what it lacks could not be fetched ({_reason(packed)}). "
            "Build with its remote in reach, or from a full clone."
        )


def _put_tags(root: Path, repository: Path) -> list[str]:
    """Give `repository` the tags of the releases in HEAD's history; returns their names.

    A listed release gets a tag that is the same in every build, whatever tags the checkout has.
    """
    listed, present = _listed(root), _present(root)
    for tag, commit in listed.items():
        if tag in present and present[tag][1] != commit:
            raise BuildError(
                f"the tag {tag} is at {present[tag][1][:10]}, but {RELEASES} says {commit[:10]}. "
                f"Correct the list, or delete the tag: git tag --delete {tag}"
            )
    ancestors = set(_git(root, "rev-list", "HEAD").split())
    made = {tag for tag, commit in listed.items() if commit in ancestors}
    for tag in made:
        _tag(repository, tag, listed[tag])
    kept = {tag for tag, (_, commit) in present.items() if commit in ancestors} - made
    for tag in kept:
        _git(repository, "update-ref", f"refs/tags/{tag}", present[tag][0], extra=UNCONFIGURED)
    return sorted(made | kept)


def _listed(root: Path) -> dict[str, str]:
    """Read tag and commit of each release that HEAD lists."""
    try:
        releases = tomllib.loads(_attempt(root, "show", f"HEAD:{RELEASES}").stdout)
    except tomllib.TOMLDecodeError as error:
        raise BuildError(f"{RELEASES} is no TOML: {error}") from error
    wrong = [str(value) for value in releases.values() if not re.fullmatch(r"[0-9a-f]{40}", str(value))]
    if wrong:
        raise BuildError(f"{RELEASES} names {wrong[0]!r}, which is no full commit id.")
    return {f"v{version}": commit for version, commit in releases.items()}


def _present(root: Path) -> dict[str, tuple[str, str]]:
    """Return object and commit of each version tag that the checkout has."""
    form = "%(refname:lstrip=2) %(objectname) %(*objectname)"
    lines = _git(root, "for-each-ref", f"--format={form}", "refs/tags/v*").splitlines()
    tags = {name: (target[0], target[-1]) for name, *target in map(str.split, lines)}
    return {name: target for name, target in tags.items() if re.match(r"v\d", name)}


def _tag(repository: Path, tag: str, commit: str) -> None:
    date = _git(repository, "show", "--no-patch", "--format=%ct", commit, extra=UNCONFIGURED).strip()
    extra = {**UNCONFIGURED, **TAGGER, "GIT_COMMITTER_DATE": f"{date} +0000"}
    _git(repository, "tag", "--annotate", "--message", f"aiapi {tag[1:]}", tag, commit, extra=extra)


def _git(folder: Path, *arguments: str, extra: Mapping[str, str] | None = None) -> str:
    result = _attempt(folder, *arguments, extra=extra)
    if result.returncode:
        raise BuildError(f"git {' '.join(arguments)} failed: {_reason(result)}")
    return str(result.stdout)


def _attempt(folder: Path, *arguments: str, extra: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run git and return what came of it (127: no git)."""
    environment = {name: value for name, value in os.environ.items() if name not in MISLEADING}
    environment |= {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", **(extra or {})}
    command = ["git", *arguments]
    try:
        return subprocess.run(  # noqa: S603 - arguments are ours, no shell
            command, cwd=folder, env=environment, input="", capture_output=True, encoding="utf-8", check=False
        )
    except FileNotFoundError:
        return subprocess.CompletedProcess(command, NO_GIT, "", "git is not installed")


def _reason(result: subprocess.CompletedProcess[str]) -> str:
    return (result.stderr.strip().splitlines() or ["no reason given"])[-1]
