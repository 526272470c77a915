"""Answers beside the options: every choice, and text that a person might type."""

import subprocess
import tomllib
from pathlib import Path

import pytest

from conftest import Render
from template_repository import options, questions

# The choices that are no overlays.
CHOICES = [
    (name, value)
    for name, question in questions().items()
    if "choices" in question and name not in options()
    for value in (question["choices"].values() if isinstance(question["choices"], dict) else question["choices"])
]
TEXT = {
    "description": "It's 100 % \u201cours\u201d: #1 & na\u00efve \u2014 costs $5 {not a tag}",
    "author": "Zo\u00eb O'Hara & S\u00f6hne, Inc.",
}


@pytest.mark.parametrize(("name", "value"), CHOICES)
def test_every_other_choice_gives_clean_code_and_its_metadata(render: Render, name: str, value: str) -> None:
    project = render({name: value})
    for command in (["format", "--check"], ["check"]):
        subprocess.run(["ruff", *command, "."], cwd=project, check=True)
    metadata = tomllib.loads((project / "pyproject.toml").read_text())["project"]
    if name == "python_version":
        assert metadata["requires-python"] == f">={value}"
        assert f"FROM python:{value}-slim" in (project / "Dockerfile").read_text()
        assert f'UV_PYTHON: "{value}"' in (project / ".github/workflows/ci.yaml").read_text()
    else:
        assert (project / "LICENSE").read_text().strip()


def test_free_text_arrives_as_it_was_typed(render: Render) -> None:
    project = render(TEXT)
    metadata = tomllib.loads((project / "pyproject.toml").read_text())["project"]
    assert metadata["description"] == TEXT["description"]
    assert metadata["authors"] == [{"name": TEXT["author"]}]
    assert TEXT["author"] in (project / "LICENSE").read_text()
    assert env_value(project / ".env.example", "APP_SERVICE__DESCRIPTION") == TEXT["description"]


def env_value(path: Path, name: str) -> str:
    [line] = [line for line in path.read_text().splitlines() if line.startswith(f"{name}=")]
    return line.partition("=")[2].strip('"')
