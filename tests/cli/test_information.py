"""The commands that only tell something: `options`, `doctor`, `--version`, `--help`, completion."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import yaml

from aiapi import options
from cli.command import ROOT, Command

if TYPE_CHECKING:
    from pathlib import Path


def questions() -> dict[str, dict[str, object]]:
    """Read the questions that a user is asked from copier.yml itself."""
    raw = yaml.safe_load((ROOT / "copier.yml").read_text())
    return {name: question for name, question in raw.items() if name[0] != "_" and question.get("when") is not False}


def test_every_option_is_shown_with_its_choices_default_and_cost(aiapi: Command) -> None:
    told = {option["name"]: option for option in json.loads(aiapi("options", "--json").stdout)}
    assert list(told) == list(questions())
    for name, question in questions().items():
        assert told[name]["default"] == question.get("default")
        choices = question.get("choices", [])
        expected = list(choices.values()) if isinstance(choices, dict) else choices
        assert [choice["value"] for choice in told[name]["choices"]] == expected
        assert told[name]["flag"] == (None if name == "project_name" else f"--{name.replace('_', '-')}")
    plain = aiapi("options").stdout
    assert re.search(r"^  \* celery +Celery: .+$", plain, re.MULTILINE)
    assert "upstream in maintenance mode" in plain


def test_options_in_two_forms_at_once_are_refused(aiapi: Command) -> None:
    result = aiapi("options", "--json", "--markdown")
    assert result.returncode == 2
    assert json.loads(result.stdout)["error"]["remedy"] == "Leave one of them out."
    assert "JSON array" in aiapi("options", "--help").stdout


def test_on_windows_it_says_where_it_runs(aiapi: Command) -> None:
    program = "import os, signal; from aiapi.__main__ import main; os.name = 'nt'; del signal.SIGHUP; main()"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=dict(aiapi.environment), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "needs Linux or macOS" in done.stderr


def test_every_question_has_a_flag_that_shows_its_choices(aiapi: Command) -> None:
    shown = aiapi("new", "--help", COLUMNS="200").stdout
    for name, question in questions().items():
        if name != "project_name":
            choices = question.get("choices", [])
            values = list(choices.values()) if isinstance(choices, dict) else choices
            assert isinstance(values, list)
            assert f"--{name.replace('_', '-')} {'|'.join(values) or 'TEXT'}" in shown


def test_the_options_in_the_readme_are_those_of_the_template() -> None:
    readme = (ROOT / "README.md").read_text()
    table = re.search(r"<!-- options -->\n+(.*?)\n*<!-- /options -->", readme, re.DOTALL)
    assert table, "README.md has no option table; `aiapi options --markdown` prints it"
    assert table[1].strip() == options.as_markdown(options.bundled()).strip()


def test_the_version_is_that_of_the_package(aiapi: Command) -> None:
    version = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version
    assert aiapi("--version").stdout == f"aiapi {version[1]}\n"


@pytest.mark.parametrize("arguments", [["--help"], ["new", "--help"], ["options"], ["--version"]])
def test_what_only_informs_loads_no_engine(aiapi: Command, arguments: list[str]) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "aiapi", *arguments]
    result = subprocess.run(command, env=dict(aiapi.environment), capture_output=True, text=True, check=True)
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in result.stderr.splitlines()}
    assert "typer" in loaded
    assert loaded & {"copier", "jinja2", "rich", "plumbum"} == set()


def test_a_machine_that_has_everything_is_ready(aiapi: Command) -> None:
    result = aiapi("doctor", "--json")
    checks = {check["name"]: check for check in json.loads(result.stdout)["checks"]}
    assert {"python", "git", "uv", "disk space", "port", "template"} <= checks.keys()
    assert checks["git"]["ok"]
    assert ("user namespaces" in checks) == (sys.platform == "linux" and os.geteuid() == 0)
    assert result.returncode == (0 if all(check["ok"] for check in checks.values() if check["required"]) else 1)


def test_what_is_required_and_missing_fails_with_a_remedy(aiapi: Command, tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    result = aiapi("doctor", PATH=str(tmp_path / "nothing"))
    assert result.returncode == 1
    assert re.search(r"^FAIL +uv: not installed\n +Install uv", result.stdout, re.MULTILINE)
    assert re.search(r"^FAIL +git: not installed\n +Install git", result.stdout, re.MULTILINE)


def test_inside_a_project_its_template_is_checked_too(aiapi: Command, small_checkout: Path) -> None:
    aiapi("new", "demo", "--defaults", "--no-lock")
    demo = aiapi.folder / "demo"
    assert f"ok       project: at v0.1.0 of {small_checkout}" in aiapi.within(demo)("doctor").stdout
    answers = demo / ".copier-answers.yml"
    answers.write_text(answers.read_text().replace(str(small_checkout), "/gone"))
    result = aiapi.within(demo)("doctor")
    assert result.returncode == 1
    assert "FAIL     project: at v0.1.0 of /gone" in result.stdout


def test_the_shell_completes_the_values_of_an_option(aiapi: Command) -> None:
    line = "aiapi new demo --vector-store q"
    result = aiapi(_AIAPI_COMPLETE="complete_bash", COMP_WORDS=line, COMP_CWORD="4")
    assert result.stdout.split() == ["qdrant"]
