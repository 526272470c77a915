"""Mistakes of a user: one clear message with the remedy, the right exit code, and nothing written."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cli.command import git

if TYPE_CHECKING:
    from collections.abc import Callable

    from cli.command import Command


@pytest.mark.parametrize(
    "name",
    ["Demo", "1demo", "demo_x", "a--b", "-", "demo-", "a/b", "..", "", " demo", "demo\n", "d" * 41, "dé"],
)
def test_a_bad_name_is_refused_with_the_rule(aiapi: Command, name: str) -> None:
    result = aiapi("new", "--defaults", "--", name)
    assert result.returncode == 1, result.stderr
    assert "lower-case letters" in result.stderr
    assert "Traceback" not in result.stderr
    assert aiapi.leftovers() == []


@pytest.mark.parametrize("value", ['a "b"', "a\\b", "a\nb", "a\n", "\x1b[31m", "", "x" * 201, "a\u2028b"])
def test_a_description_that_would_break_files_is_refused(aiapi: Command, value: str) -> None:
    result = aiapi("new", "demo", "--defaults", "--description", value)
    assert result.returncode == 1
    assert "description" in result.stderr
    assert aiapi.leftovers() == []


def test_everything_wrong_is_listed_at_once_with_what_is_valid(aiapi: Command) -> None:
    (aiapi.folder / "a.json").write_text('{"task_queue": "Celery", "licence": "MIT", "author": ["x"]}')
    result = aiapi(
        "new", "Demo", "--defaults", "--inference", "tpu", "-d", "pgvector=.", "--answers", "a.json", "--json"
    )
    assert result.returncode == 1
    problems = json.loads(result.stdout)["error"]["problems"]
    assert [problem.partition(":")[0] for problem in problems] == [
        "author",
        "inference",
        "licence",
        "pgvector",
        "project_name",
        "task_queue",
    ]
    assert "Valid: cpu, gpu." in problems[1]
    assert "Did you mean license?" in problems[2]
    assert "Did you mean celery?" in problems[5]


def test_an_answer_given_twice_is_refused(aiapi: Command) -> None:
    result = aiapi("new", "demo", "--defaults", "--inference", "cpu", "-d", "inference=gpu")
    assert result.returncode == 1
    assert "inference: given twice, as 'cpu' and 'gpu'." in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["new"], "Missing argument"),
        (["new", "demo", "--defaults", "--data", "x"], "--data name=value"),
        (["new", "demo", "--defaults", "--port", "8001"], "Add --run"),
        (["new", "demo", "--defaults", "--run", "--dry-run"], "Leave one of them out"),
        (["new", "demo", "--defaults", "--port", "x", "--run"], "--port"),
        (["new", "demo", "--verctor-store", "qdrant"], "No such option"),
        (["new", "demo"], "--vector-store"),
        (["nwe"], "No such command"),
    ],
)
def test_an_incomplete_command_line_ends_with_2(aiapi: Command, arguments: list[str], message: str) -> None:
    result = aiapi(*arguments)
    assert result.returncode == 2
    assert message in result.stderr
    assert aiapi.leftovers() == []


def test_without_a_terminal_nothing_is_asked_and_full_answers_suffice(aiapi: Command) -> None:
    refused = aiapi("new", "demo", "--no-lock")
    assert refused.returncode == 2
    assert "Cannot prompt without a terminal." in refused.stderr
    choices = ["--vector-store=qdrant", "--task-queue=arq", "--inference=cpu", "--license=MIT", "--python-version=3.11"]
    given = aiapi("new", "demo", "--no-lock", *choices, "--author=A", "--description=B")
    assert given.returncode == 0, given.stderr


@pytest.fixture
def without(tmp_path: Path) -> Callable[[str], str]:
    """Return a PATH that offers everything but one program."""

    def offer(missing: str) -> str:
        folder = tmp_path / f"all-but-{missing}"
        folder.mkdir()
        for place in os.environ["PATH"].split(os.pathsep):
            for program in Path(place).glob("*"):
                if program.name != missing and not (folder / program.name).is_symlink():
                    (folder / program.name).symlink_to(program)
        return str(folder)

    return offer


@pytest.mark.parametrize("missing", ["git", "uv"])
def test_a_missing_tool_is_named_before_anything_is_written(
    aiapi: Command, without: Callable[[str], str], missing: str
) -> None:
    result = aiapi("new", "demo", "--defaults", PATH=without(missing))
    assert result.returncode == 1
    assert f"{missing} is not installed" in result.stderr
    assert aiapi.leftovers() == []


def test_uv_is_not_needed_without_a_lock(aiapi: Command, without: Callable[[str], str]) -> None:
    result = aiapi("new", "demo", "--defaults", "--no-lock", PATH=without("uv"))
    assert result.returncode == 0, result.stderr


def test_a_git_that_is_too_old_is_refused(aiapi: Command, stand_in: Callable[[str, str], str]) -> None:
    path = stand_in("git", "echo git version 2.30.9")
    result = aiapi("new", "demo", "--defaults", PATH=path)
    assert result.returncode == 1
    assert "git 2.30.9 is too old" in result.stderr


@pytest.mark.parametrize("name", ["attrs", "iniconfig", "py-test"])
def test_a_project_is_not_named_like_a_package_it_needs(aiapi: Command, name: str) -> None:
    result = aiapi("new", name, "--defaults", "--vector-store", "qdrant")
    assert result.returncode == 1
    assert f"cannot be named {name}" in result.stderr
    assert aiapi.leftovers() == []


def test_a_lock_that_fails_leaves_a_whole_project_and_is_never_called_success(aiapi: Command, tmp_path: Path) -> None:
    offline = {"UV_OFFLINE": "1", "UV_CACHE_DIR": str(tmp_path / "empty")}
    result = aiapi("new", "demo", "--defaults", "--vector-store", "qdrant", "--json", **offline)
    assert result.returncode == 1
    data = json.loads(result.stdout)
    assert data["ok"] is False
    assert data["steps"][0]["ok"] is False
    assert "attrs" in data["steps"][0]["detail"]
    assert "uv lock" in data["steps"][0]["remedy"]
    assert "uv lock failed" in result.stderr
    assert git(aiapi.folder / "demo", "status", "--porcelain") == ""
    assert not (aiapi.folder / "demo/uv.lock").exists()


def test_without_an_identity_the_first_commit_is_made_and_the_user_is_told(aiapi: Command) -> None:
    result = aiapi("new", "demo", "--defaults", "--no-lock", GIT_CONFIG_GLOBAL=os.devnull)
    assert result.returncode == 0, result.stderr
    assert "git does not know your name" in result.stderr
    assert git(aiapi.folder / "demo", "log", "--format=%an") == "aiapi"


def test_hooks_signing_and_ignore_lists_of_the_user_do_not_stop_the_first_commit(
    aiapi: Command, tmp_path: Path
) -> None:
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    (hooks / "pre-commit").write_text("#!/bin/sh\nexit 1\n")
    (hooks / "pre-commit").chmod(0o755)
    (tmp_path / "ignored").write_text("*.toml\n")
    lines = ["[commit]", "gpgSign = true", "[core]", f"hooksPath = {hooks}", f"excludesFile = {tmp_path / 'ignored'}"]
    settings = tmp_path / "settings"
    settings.write_text("\n".join([*lines, "[user]", "name = Ada", "email = ada@example.com"]))
    result = aiapi("new", "demo", "--defaults", "--no-lock", GIT_CONFIG_GLOBAL=str(settings))
    assert result.returncode == 0, result.stderr
    assert "pyproject.toml" in git(aiapi.folder / "demo", "ls-files").splitlines()


def test_run_inside_a_git_hook_it_still_works_on_its_own_repository(aiapi: Command) -> None:
    git(aiapi.folder, "init", "--quiet", "outer")
    outer = str(aiapi.folder / "outer/.git")
    result = aiapi("new", "demo", "--defaults", "--no-lock", GIT_DIR=outer, GIT_INDEX_FILE=f"{outer}/index")
    assert result.returncode == 0, result.stderr
    assert git(aiapi.folder / "demo", "log", "--format=%s") == "Start demo from aiapi v0.1.0"
