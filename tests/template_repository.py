"""The template as users meet it: a git repository with all its releases, the newest being the working tree as it is."""

import itertools
import os
import shutil
import subprocess
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import plumbum
import yaml

ROOT = Path(__file__).parents[1]
RELEASE = "v999.0.0"
IDENTITY = {
    "GIT_AUTHOR_NAME": "Tests",
    "GIT_AUTHOR_EMAIL": "tests@example.com",
    "GIT_COMMITTER_NAME": "Tests",
    "GIT_COMMITTER_EMAIL": "tests@example.com",
}
# Combinations that have every choice between them: what nobody's choice of another option changes is tested in these.
ALL_CHOICES = {"pgvector-celery-cpu", "qdrant-arq-gpu"}
# Combinations in which every two choices meet: what takes three of them to go wrong is beyond what is tested in these.
EVERY_TWO = {"pgvector-arq-cpu", "pgvector-celery-gpu", "qdrant-arq-gpu", "qdrant-celery-cpu"}
# What a developer has set up must neither help nor hurt.
ISOLATION = IDENTITY | {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "COPIER_SETTINGS_PATH": str(ROOT / "tests/golden/copier-settings.yml"),
}


def isolate() -> None:
    """Shut out the settings of this machine; plumbum keeps a copy of the environment from its import on."""
    os.environ.update(ISOLATION)
    plumbum.local.env.update(ISOLATION)


def releases() -> dict[str, str]:
    """The commits of the released versions, oldest first."""
    return tomllib.loads((ROOT / "docs/releases.toml").read_text())


def make_repository(folder: Path) -> Path:
    """Clone this repository, lay over it what git would commit here, and release that; old releases have their tags."""
    _git("clone", "--quiet", "--no-checkout", str(ROOT), str(folder), cwd=ROOT)
    for version, commit in releases().items():
        _git("tag", "--force", "--annotate", "--message", version, f"v{version}", commit, cwd=folder)
    listed = _git("ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT)
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    save(folder, RELEASE)
    return folder


def save(folder: Path, tag: str = "") -> None:
    """Commit everything in a repository, and tag the commit."""
    _git("add", "--all", cwd=folder)
    _git("commit", "--quiet", "--allow-empty", "--message", tag or "Save", cwd=folder)
    if tag:
        _git("tag", "--annotate", "--message", tag, tag, cwd=folder)


def _git(*arguments: str, cwd: Path) -> str:
    done = subprocess.run(["git", *arguments], cwd=cwd, check=True, env=os.environ | ISOLATION, stdout=subprocess.PIPE)
    return done.stdout.decode()


def questions() -> dict[str, Any]:
    """The questions of copier.yml, by name."""
    declared: dict[str, Any] = yaml.safe_load((ROOT / "copier.yml").read_text())
    return {name: question for name, question in declared.items() if not name.startswith("_")}


def options() -> dict[str, list[str]]:
    """The questions whose choices are overlay folders, with the choices in the order of copier.yml."""
    declared = questions()
    return {
        name: list(values)
        for name, question in declared.items()
        if (values := _choices(question)) and all(value in declared for value in values)
    }


def combinations() -> list[Mapping[str, str]]:
    """Every way to answer the options."""
    chosen = options()
    return [dict(zip(chosen, values, strict=True)) for values in itertools.product(*chosen.values())]


def name_of(combination: Mapping[str, str]) -> str:
    """A combination in short, as tests and tables show it."""
    return "-".join(combination.values())


def _choices(question: dict[str, Any]) -> list[str]:
    choices = question.get("choices", [])
    return list(choices.values()) if isinstance(choices, dict) else list(choices)
