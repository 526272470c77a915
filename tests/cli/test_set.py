"""`aiapi set`: another answer at the same template version, and the steps for the data."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from aiapi import data_steps
from cli.command import ROOT, git
from cli.project_scenes import commit, run_json
from cli.update_scenes import LINES, changed, edit, files, refused, state

if TYPE_CHECKING:
    from collections.abc import Callable

    from cli.command import Command, Terminal
    from cli.update_scenes import Newborn

DRAIN = "Stop the API and let the workers finish: uv run poe app jobs drain"
EXPORT = "Write the vectors to a file: uv run poe app vectors export ../vectors.jsonl"
STOP = "Stop the workers."
# What a step is known by, in the command's list and in the service's document.
STEP = re.compile(
    r"stop the API|app jobs drain|app vectors \w+|stop the workers|APP_\w+__|start neither API nor workers"
    r"|DROP TABLE \w+|app migrate|start API and workers",
    re.IGNORECASE,
)


def test_an_option_changes_at_the_version_that_the_project_has_and_back_again(demo: Command) -> None:
    before = files(demo.folder)
    code, said = run_json(demo, "set", "vector_store=qdrant", "--yes")
    assert (code, said["from"], said["to"], said["applied"]) == (0, "v0.1.0", "v0.1.0", True)
    assert said["answers"] == {"vector_store": "qdrant"}
    assert [(change["path"], change["kind"]) for change in said["changes"]] == [
        ("only_pgvector.txt", "deleted"),
        ("store.txt", "updated"),
    ]
    assert (demo.folder / "store.txt").read_text().startswith("qdrant\n")
    commit(demo.folder)
    assert run_json(demo, "set", "vector_store=pgvector", "--yes")[0] == 0
    assert files(demo.folder) == before


def test_several_options_change_at_once_and_say_what_comes_afterwards(demo: Command) -> None:
    result = demo("set", "vector_store=qdrant", "task_queue=arq", "author=Ada", "--yes")
    assert result.returncode == 0, result.stderr
    assert "Read the vectors back, without embedding again: uv run poe app vectors import" in result.stdout
    assert "Set the new queue's APP_JOB_QUEUE__" in result.stdout
    assert "vectors export" not in result.stdout
    assert (demo.folder / "queue.txt").read_text() == "arq\n"
    assert "author: Ada\n" in (demo.folder / ".copier-answers.yml").read_text()


def test_a_terminal_that_lacks_a_character_of_the_steps_is_no_reason_to_fail(demo: Command) -> None:
    result = demo("set", "task_queue=arq", "--yes", PYTHONIOENCODING="latin-1")
    assert result.returncode == 0, result.stderr
    assert "APP_JOB_QUEUE__\\u2026" in result.stdout


def test_an_answer_that_is_there_already_is_nothing_to_do(demo: Command) -> None:
    before = state(demo.folder)
    result = demo("set", "vector_store=pgvector", "task_queue=celery")
    assert result.returncode == 0
    assert result.stdout == "Nothing to do: vector_store is pgvector, task_queue is celery already.\n"
    assert run_json(demo, "set", "vector_store=pgvector")[1]["changes"] == []
    assert state(demo.folder) == before


def test_without_a_terminal_the_steps_that_need_the_old_code_are_named_and_nothing_happens(demo: Command) -> None:
    error = refused(demo, "set", "vector_store=qdrant", code=2)
    assert error["problems"] == [DRAIN, EXPORT, STOP]
    assert "--yes" in error["remedy"]


@pytest.mark.parametrize(
    ("option", "begin", "end"),
    [
        ("vector_store", "## Switching the vector store", "On a developer's machine"),
        ("task_queue", "## Switching the queue", "## Your migrations"),
    ],
)
def test_the_steps_are_those_of_the_services_document(option: str, begin: str, end: str) -> None:
    document = (ROOT / "template/docs/deployment.md").read_text()
    described = " ".join(document.partition(begin)[2].partition(end)[0].split())
    told = " ".join(map(str, data_steps.required_steps([option])))
    steps = [list(dict.fromkeys(step.lower() for step in STEP.findall(text))) for text in (told, described)]
    assert steps[0] == steps[1]
    both = [str(step) for step in data_steps.required_steps(["vector_store", "task_queue"]) if step.with_old_code]
    assert both == [DRAIN, EXPORT, STOP]


def test_what_needs_nothing_of_the_old_code_is_done_without_asking(demo: Command) -> None:
    code, said = run_json(demo, "set", "inference=gpu")
    assert (code, said["applied"]) == (0, True)
    assert [step["with_old_code"] for step in said["data_steps"]] == [False]


def test_a_dry_run_names_all_steps_and_changes_nothing(demo: Command) -> None:
    before = state(demo.folder)
    result = demo("set", "vector_store=qdrant", "--dry-run", "--diff")
    assert result.returncode == 0, result.stderr
    assert f"First, with the old code: {EXPORT}" in result.stdout
    assert "-pgvector\n+qdrant\n" in result.stdout
    assert state(demo.folder) == before


@pytest.mark.parametrize(("answer", "code"), [("n", 1), ("", 1), ("y", 0)])
def test_on_a_terminal_it_asks(
    demo: Command, terminal: Callable[..., Terminal], newborn: Newborn, answer: str, code: int
) -> None:
    before = state(demo.folder)
    screen = terminal(
        "set", "vector_store=qdrant", "--project", str(demo.folder), PYTHONPATH=str(newborn.checkout / "generator")
    )
    screen.await_text(EXPORT)
    screen.await_text("[y/N]")
    screen.press(f"{answer}\r")
    ended, shown = screen.end()
    assert ended == code, shown
    if code:
        assert "Nothing was changed. Run the command again once the data is prepared." in shown
        assert "Error" not in shown
        assert state(demo.folder) == before
    else:
        assert (demo.folder / "store.txt").read_text().startswith("qdrant\n")


@pytest.mark.parametrize("keys", ["\x03", "\x04"], ids=["Ctrl-C", "Ctrl-D"])
def test_leaving_the_question_changes_nothing(
    demo: Command, terminal: Callable[..., Terminal], newborn: Newborn, keys: str
) -> None:
    before = state(demo.folder)
    screen = terminal(
        "set", "vector_store=qdrant", "--project", str(demo.folder), PYTHONPATH=str(newborn.checkout / "generator")
    )
    screen.await_text("[y/N]")
    screen.press(keys)
    code, shown = screen.end(insisting_on=keys)
    assert code == 130, shown
    assert "Traceback" not in shown
    assert state(demo.folder) == before


def test_edits_in_the_files_of_an_option_are_kept(demo: Command) -> None:
    edit(demo, "store.txt", 1, "my own pgvector")
    edit(demo, "only_pgvector.txt", 5)
    commit(demo.folder)
    code, said = run_json(demo, "set", "vector_store=qdrant", "--yes")
    assert (code, said["unresolved"]) == (1, ["only_pgvector.txt.yours", "store.txt"])
    lines = (demo.folder / "store.txt").read_text().splitlines()
    assert {"my own pgvector", "qdrant"} <= set(lines)
    assert (demo.folder / "only_pgvector.txt.yours").read_text() == changed(f"index\n{LINES}", 5, "changed by me")
    assert git(demo.folder, "status", "--short", "store.txt") == "UU store.txt"
    assert "is not finished" in refused(demo, "set", "task_queue=arq", "--yes")["message"]


def test_every_answer_that_cannot_be_is_named(demo: Command) -> None:
    error = refused(demo, "set", "colour=red", "task_queue=kafka", "inference=GPU")
    assert [problem.partition(":")[0] for problem in error["problems"]] == ["colour", "inference", "task_queue"]
    assert "Did you mean gpu?" in error["problems"][1]
    assert refused(demo, "set", "task_queue", code=2)["remedy"] == "Write it as KEY=VALUE, like task_queue=arq."


def test_uncommitted_changes_are_refused(demo: Command) -> None:
    edit(demo, "plain.txt", 1)
    assert "1 uncommitted change" in refused(demo, "set", "task_queue=arq", "--yes")["message"]


def test_the_json_of_a_refusal_is_all_there_is_on_stdout(demo: Command) -> None:
    result = demo("set", "task_queue=arq", "--json")
    assert result.returncode == 2
    assert json.loads(result.stdout)["error"]["problems"][0].startswith("Stop the API")
