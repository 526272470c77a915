"""What `aiapi new` makes when everything is well."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING

import pytest

from cli.command import copy_with_copier, git, tree

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cli.command import Command, Terminal

NEXT = ["cd demo", "uv run poe dev", "uv run poe test"]


def equivalent(shown: str) -> list[str]:
    """Read the equivalent command out of what was shown."""
    lines = [line.strip() for line in shown.splitlines()]
    return shlex.split(next(line for line in lines if line.startswith("aiapi new")))[1:]


def test_a_project_is_rendered_locked_and_committed(aiapi: Command) -> None:
    result = aiapi("new", "demo", "--defaults")
    assert result.returncode == 0, result.stderr
    demo = aiapi.folder / "demo"
    assert (demo / "src/app/vector_store.py").read_text() == '"""pgvector."""\n'
    assert git(demo, "status", "--porcelain") == ""
    assert git(demo, "branch", "--show-current") == "main"
    assert git(demo, "log", "--format=%an %s") == "Ada Start demo from aiapi v0.1.0"
    assert "uv.lock" in git(demo, "ls-files").splitlines()
    assert aiapi.leftovers() == ["demo"]


def test_the_result_shows_the_tree_the_equivalent_command_and_the_next_three(aiapi: Command) -> None:
    result = aiapi("new", "demo", "--defaults", "--no-lock")
    assert "src/" in result.stdout
    assert equivalent(result.stdout)[:3] == ["new", "demo", "--defaults"]
    assert [line.strip() for line in result.stdout.splitlines()[-3:]] == NEXT


def test_the_same_bytes_come_from_plain_copier(aiapi: Command, small_checkout: Path) -> None:
    aiapi("new", "demo", "--defaults", "--no-lock", "--no-git")
    assert tree(aiapi.folder / "demo") == tree(copy_with_copier(aiapi, small_checkout, []))


def test_the_users_git_settings_do_not_change_what_is_made(aiapi: Command, tmp_path: Path) -> None:
    assert aiapi("new", "demo", "--into", "plain", "--defaults", "--no-lock").returncode == 0
    hook = tmp_path / "hooks/post-checkout"
    hook.parent.mkdir()
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    with (tmp_path / "home/.gitconfig").open("a") as settings:
        settings.write(f"[core]\nautocrlf = true\nhooksPath = {hook.parent}\n")
    result = aiapi("new", "demo", "--defaults", "--no-lock")
    assert result.returncode == 0, result.stderr
    assert tree(aiapi.folder / "demo") == tree(aiapi.folder / "plain")


def test_every_flag_answers_its_question(aiapi: Command) -> None:
    wanted = {
        "vector_store": "qdrant",
        "task_queue": "arq",
        "inference": "gpu",
        "license": "MIT",
        "python_version": "3.13",
        "author": "Grace & Ada",
        "description": "It answers; that's all.",
    }
    flags = [word for name, value in wanted.items() for word in (f"--{name.replace('_', '-')}", value)]
    result = aiapi("new", "demo", "--no-lock", "--json", *flags)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["answers"] == {**wanted, "project_name": "demo"}


def test_the_equivalent_command_makes_the_same_project_again(aiapi: Command) -> None:
    first = aiapi("new", "demo", "--defaults", "--no-lock", "--task-queue", "arq", "--author", "O'Neil $HOME `x`")
    second = aiapi.folder / "second"
    second.mkdir()
    again = aiapi.within(second)(*equivalent(first.stdout))
    assert again.returncode == 0, again.stderr
    assert tree(second / "demo") == tree(aiapi.folder / "demo")


def test_answers_come_from_a_file_and_flags_win_over_it(aiapi: Command) -> None:
    (aiapi.folder / "answers.yml").write_text("vector_store: qdrant\ntask_queue: arq\npython_version: 3.12\n")
    result = aiapi(
        "new", "demo", "--defaults", "--no-lock", "--json", "--answers", "answers.yml", "-d", "task_queue=celery"
    )
    answers = json.loads(result.stdout)["answers"]
    assert (answers["vector_store"], answers["task_queue"], answers["python_version"]) == ("qdrant", "celery", "3.12")


def test_the_answers_file_of_another_project_can_be_used_again(aiapi: Command) -> None:
    aiapi("new", "demo", "--defaults", "--no-lock", "--inference", "gpu")
    result = aiapi("new", "other", "--defaults", "--no-lock", "--json", "--answers", "demo/.copier-answers.yml")
    answers = json.loads(result.stdout)["answers"]
    assert (answers["project_name"], answers["inference"]) == ("other", "gpu")


def test_json_alone_is_on_stdout(aiapi: Command) -> None:
    result = aiapi("new", "demo", "--defaults", "--json")
    data = json.loads(result.stdout)
    assert data["ok"] is True
    assert data["path"] == str(aiapi.folder / "demo")
    assert data["commit"] == git(aiapi.folder / "demo", "rev-parse", "HEAD")
    assert [step["name"] for step in data["steps"]] == ["uv lock", "git commit"]
    assert data["next"] == NEXT
    assert data["file_count"] == len(data["files"])
    assert "src/app/main.py" in data["files"]


def test_quiet_says_nothing_but_warnings(aiapi: Command) -> None:
    result = aiapi("new", "demo", "--defaults", "--no-lock", "--quiet")
    assert result.stdout == ""
    assert all(line.startswith("Warning: ") for line in result.stderr.splitlines())


def test_output_that_nobody_watches_has_no_colours(aiapi: Command) -> None:
    result = aiapi("new", "demo", "--defaults", "--no-lock")
    assert "\x1b" not in result.stdout + result.stderr


def test_a_dry_run_tells_all_and_writes_nothing(aiapi: Command) -> None:
    result = aiapi("new", "demo", "--defaults", "--dry-run", "--vector-store", "qdrant")
    assert result.returncode == 0, result.stderr
    for told in ("src/app/vector_store.py", "attrs>=23", "database: postgres:18", "7 files", "--vector-store qdrant"):
        assert told in result.stdout
    assert aiapi.leftovers() == []


def test_a_dry_run_counts_what_is_then_made(aiapi: Command) -> None:
    data = json.loads(aiapi("new", "demo", "--defaults", "--dry-run", "--json").stdout)
    aiapi("new", "demo", "--defaults", "--no-lock")
    made = tree(aiapi.folder / "demo")
    assert data["files"] == {name: len(content) for name, content in made.items()}
    assert data["file_count"] == len(made)
    assert data["bytes"] == sum(map(len, made.values()))


def test_without_git_there_is_no_repository(aiapi: Command) -> None:
    result = aiapi("new", "demo", "--defaults", "--no-lock", "--no-git")
    assert result.returncode == 0
    assert not (aiapi.folder / "demo/.git").exists()


@pytest.mark.parametrize("colour", [{}, {"NO_COLOR": "1"}], ids=["colour", "NO_COLOR"])
def test_prompts_are_answered_on_a_terminal(
    terminal: Callable[..., Terminal], aiapi: Command, colour: dict[str, str]
) -> None:
    screen = terminal("new", "demo", "--no-lock", "--license", "MIT", **colour)
    screen.await_text("One-sentence description")
    screen.press("\r")
    screen.await_text("Owner (person or team)")
    screen.press("\r")
    screen.await_text("Minimum Python version")
    screen.press("\r")
    screen.await_text("Vector store")
    screen.press("\x1b[B\r")
    screen.await_text("Task queue")
    screen.press("\r")
    screen.await_text("Hardware for the ONNX models")
    screen.press("\r")
    code, shown = screen.end()
    assert code == 0, shown
    assert "--vector-store qdrant" in shown
    assert (aiapi.folder / "demo/src/app/vector_store.py").read_text() == '"""Qdrant."""\n'


def test_a_colourless_terminal_gets_no_escape_codes(terminal: Callable[..., Terminal]) -> None:
    code, shown = terminal("new", "demo", "--no-lock", "--defaults", NO_COLOR="1").end()
    assert code == 0
    assert "\x1b" not in shown
