"""The template as users meet it: a git repository with a release, holding the working tree as it is."""

import itertools
import os
import shutil
import subprocess
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


def make_repository(folder: Path) -> Path:
    """Copy what git would commit here into a repository of its own and tag it."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    for command in (
        ["init", "-q", "-b", "main"],
        ["add", "-A"],
        ["commit", "-q", "-m", "Template"],
        ["tag", RELEASE, "-m", RELEASE],
    ):
        subprocess.run(["git", *command], cwd=folder, check=True, env=os.environ | ISOLATION)
    return folder


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
