"""Makes the annotated tags of docs/releases.toml in a clone that came without them (`uv run poe tags`)."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

LIST = "docs/releases.toml"
# Whoever makes a tag, and whenever: its id is the same in every clone.
TAGGER = {"GIT_COMMITTER_NAME": "aiapi", "GIT_COMMITTER_EMAIL": "aiapi@localhost"}
UNSIGNED = ("-c", "tag.gpgSign=false", "-c", "tag.forceSignAnnotated=false")


def make(root: Path) -> tuple[list[str], list[str]]:
    """Tag every listed release that has no tag yet; when anything is wrong, no tag is made.

    Returns:
        The tags that were made, and what is wrong with the list or with the tags that are there.
    """
    listed = tomllib.loads((root / LIST).read_text("utf-8"))
    wrong = [problem for version, commit in listed.items() if (problem := _problem(root, f"v{version}", commit))]
    missing = [version for version in listed if _object(root, f"refs/tags/v{version}") is None]
    if wrong:
        return [], wrong
    for version in missing:
        _tag(root, version, listed[version])
    return [f"v{version}" for version in missing], []


def _problem(root: Path, tag: str, commit: str) -> str:
    if _object(root, f"{commit}^{{commit}}") != commit:
        shallow = _ask(root, "rev-parse", "--is-shallow-repository") == "true"
        remedy = "Fetch the whole history: git fetch --unshallow" if shallow else f"Correct {LIST}."
        return f"{tag}: this clone has no commit {commit}. {remedy}"
    found = _object(root, f"refs/tags/{tag}^{{}}")
    remedy = f"If the list is right: git tag --delete {tag}, and run this again."
    if found is not None and found != commit:
        return f"{tag} is at {found}, but {LIST} says {commit}. {remedy}"
    if found is not None and _ask(root, "cat-file", "-t", f"refs/tags/{tag}") != "tag":
        return f"{tag} is not an annotated tag. {remedy}"
    return ""


def _tag(root: Path, version: str, commit: str) -> None:
    date = _ask(root, "show", "--no-patch", "--format=%ct", commit)
    environment = {**os.environ, **TAGGER, "GIT_COMMITTER_DATE": f"{date} +0000"}
    words = ["git", *UNSIGNED, "tag", "--annotate", "--message", f"aiapi {version}", f"v{version}", commit]
    subprocess.run(words, cwd=root, env=environment, check=True)  # noqa: S603 - arguments are ours, no shell


def _object(root: Path, name: str) -> str | None:
    return _ask(root, "rev-parse", "--verify", "--quiet", name)


def _ask(root: Path, *arguments: str) -> str | None:
    """Return what git answers, stripped, or None when it fails."""
    command = ["git", *arguments]
    result = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)  # noqa: S603 - as above
    return result.stdout.strip() if result.returncode == 0 else None


if __name__ == "__main__":
    made, problems = make(Path(__file__).resolve().parents[2])
    if problems:
        sys.exit("\n".join(f"Error: {problem}" for problem in problems))
    sys.stdout.write(f"Made {', '.join(made)}.\n" if made else "Every release has its tag.\n")
