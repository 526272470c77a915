"""`aiapi update` if it cannot work: one line with the remedy, and nothing changed."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from cli.command import git
from cli.project_scenes import ANSWERS, commit
from cli.update_scenes import edit, files, refused, state

if TYPE_CHECKING:
    from cli.command import Command
    from cli.update_scenes import Newborn


def test_a_folder_without_a_project(aiapi: Command) -> None:
    assert "is not in a project" in refused(aiapi, "update")["message"]


def test_a_project_without_git(demo: Command) -> None:
    shutil.rmtree(demo.folder / ".git")
    assert "git init" in refused(demo, "update")["remedy"]


def test_a_project_of_another_user(demo: Command) -> None:
    error = refused(demo, "update", GIT_TEST_ASSUME_DIFFERENT_OWNER="1")
    assert error["message"] == f"{demo.folder} belongs to another user."
    assert error["remedy"] == f"If you trust it: git config --global --add safe.directory {demo.folder}"


def test_a_project_without_a_commit(demo: Command) -> None:
    shutil.rmtree(demo.folder / ".git")
    git(demo.folder, "init", "--quiet")
    before = files(demo.folder)
    result = demo("update")
    assert result.returncode == 1
    assert "is not in a git repository with a commit" in result.stderr
    assert files(demo.folder) == before


def test_uncommitted_changes_of_every_sort_are_named(demo: Command) -> None:
    edit(demo, "plain.txt", 1)
    edit(demo, "same.txt", 1)
    git(demo.folder, "add", "same.txt")
    (demo.folder / "new file.txt").write_text("mine\n")
    error = refused(demo, "update")
    assert "3 uncommitted changes" in error["message"]
    assert "git stash -u" in error["remedy"]
    assert error["problems"] == ["M plain.txt", "M  same.txt", '?? "new file.txt"']


def test_a_file_that_git_does_not_track_is_named_even_where_git_is_not_to_show_such(demo: Command) -> None:
    git(demo.folder, "config", "status.showUntrackedFiles", "no")
    (demo.folder / "secrets.txt").write_text("mine\n")
    assert refused(demo, "update")["problems"] == ["?? secrets.txt"]


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (b"{{{{\n", "cannot be read"),
        (b"_commit: v0.1.0\n_src_path: gr\xfc\xdfe\n", "cannot be read"),
        (b"<<<<<<< ours\n_commit: v0.1.0\n=======\n", "cannot be read"),
        (b"- a list\n", "contains no answers"),
        (b"", "contains no answers"),
        (b"_src_path: /somewhere\nproject_name: demo\n", "records no template version"),
        (b"_commit: v0.1.0\nproject_name: demo\n", "records no template version"),
        (b"_commit:\n_src_path: /somewhere\n", "records no template version"),
    ],
)
def test_damaged_answers(demo: Command, written: bytes, message: str) -> None:
    (demo.folder / ANSWERS).write_bytes(written)
    commit(demo.folder)
    assert message in refused(demo, "update")["message"]


def test_a_source_that_is_gone(demo: Command) -> None:
    (demo.folder / ANSWERS).write_text("_commit: v0.1.0\n_src_path: /not/here\nproject_name: demo\n")
    commit(demo.folder)
    error = refused(demo, "update")
    assert "/not/here" in error["message"]
    assert "aiapi relink" in error["remedy"]


def test_a_project_of_a_version_that_its_template_does_not_have(demo: Command) -> None:
    file = demo.folder / ANSWERS
    file.write_text(file.read_text().replace("v0.1.0", "v7.0.0"))
    commit(demo.folder)
    assert "does not have v7.0.0" in refused(demo, "update")["message"]


@pytest.mark.parametrize("version", ["9.9.9", "v9.9.9", "nonsense", "--upload-pack=true"])
def test_a_release_that_does_not_exist(demo: Command, version: str) -> None:
    error = refused(demo, "update", f"--to={version}")
    assert f"no release {version}" in error["message"]
    assert error["remedy"] == "It has: v0.1.0, v0.2.0, v0.3.0."


def test_a_release_that_is_older_than_the_projects(demo: Command) -> None:
    assert demo("update", "--no-lock").returncode == 0
    commit(demo.folder)
    error = refused(demo, "update", "--to", "0.2.0")
    assert error["message"] == "The project is at v0.3.0, and v0.2.0 is older."


def test_answers_that_the_template_does_not_take_are_named_all_at_once(demo: Command) -> None:
    words = (
        "--set",
        "colour=red",
        "--set",
        "vector_store=faiss",
        "--set",
        "project_name=other",
        "--set",
        "author=A\tB",
    )
    error = refused(demo, "update", *words)
    assert [problem.partition(":")[0] for problem in error["problems"]] == [
        "author",
        "colour",
        "project_name",
        "vector_store",
    ]
    assert "Valid: pgvector, qdrant." in error["problems"][3]


def test_an_answer_without_a_value(demo: Command) -> None:
    error = refused(demo, "update", "--set", "task_queue", "--set", "=arq", code=2)
    assert error["message"] == "'task_queue', '=arq' have no key or no value."


def test_continue_without_an_update(demo: Command) -> None:
    assert refused(demo, "update", "--continue")["message"] == "There is no update to finish."


@pytest.mark.parametrize("other", [("--to", "0.2.0"), ("--set", "author=Ada"), ("--dry-run",), ("--diff",)])
def test_continue_beside_what_starts_an_update(demo: Command, other: tuple[str, ...]) -> None:
    assert "without them" in refused(demo, "update", "--continue", *other, code=2)["remedy"]


def test_an_update_while_another_is_in_place(demo: Command) -> None:
    edit(demo, "same.txt", 5)
    commit(demo.folder)
    assert demo("update", "--no-lock").returncode == 1
    error = refused(demo, "update")
    assert "is not finished" in error["message"]
    assert "git reset --hard" in error["remedy"]


@pytest.mark.parametrize("where", ["added.txt", "moved here/edited.txt"])
def test_an_ignored_file_of_the_user_where_the_release_has_one(demo: Command, where: str) -> None:
    with (demo.folder / ".gitignore").open("a") as ignored:
        ignored.write("added.txt\nmoved here\n")
    commit(demo.folder)
    file = demo.folder / where
    file.parent.mkdir(exist_ok=True)
    file.write_text("mine, and nowhere else\n")
    error = refused(demo, "update", *(["--dry-run"] if where == "added.txt" else []))
    assert error["problems"] == [where]
    assert "git add --force" in error["remedy"]


def test_an_ignored_file_where_the_release_has_a_folder(demo: Command) -> None:
    with (demo.folder / ".gitignore").open("a") as ignored:
        ignored.write("moved here\n")
    commit(demo.folder)
    (demo.folder / "moved here").write_text("mine, and nowhere else\n")
    assert refused(demo, "update")["problems"] == ["moved here"]


def test_a_file_of_the_user_where_the_release_has_a_folder_and_the_other_way_round(demo: Command) -> None:
    (demo.folder / "moved here").write_text("mine\n")
    (demo.folder / "added.txt").mkdir()
    (demo.folder / "added.txt/mine").write_text("mine\n")
    commit(demo.folder)
    error = refused(demo, "update")
    assert error["problems"] == ["added.txt", "moved here"]
    assert "git mv" in error["remedy"]


def test_an_ignored_folder_where_the_release_has_a_file(demo: Command) -> None:
    with (demo.folder / ".gitignore").open("a") as ignored:
        ignored.write("added.txt\n")
    commit(demo.folder)
    (demo.folder / "added.txt").mkdir()
    (demo.folder / "added.txt/mine").write_text("mine, and nowhere else\n")
    assert refused(demo, "update")["problems"] == ["added.txt/mine"]


def test_a_folder_of_the_template_that_is_a_link_to_elsewhere(demo: Command) -> None:
    elsewhere = demo.folder.parent / "elsewhere"
    shutil.move(demo.folder / "moved", elsewhere)
    (demo.folder / "moved").symlink_to(elsewhere)
    commit(demo.folder)
    before = files(elsewhere)
    assert "moved: a link" in refused(demo, "update")["message"]
    assert files(elsewhere) == before


def test_a_name_that_copier_cannot_read(demo: Command) -> None:
    (demo.folder / os.fsdecode(b"gr\xfc\xdfe.txt")).write_text("mine\n")
    commit(demo.folder)
    assert refused(demo, "update")["problems"] == [r"'gr\udcfc\udcdfe.txt'"]


def test_a_project_that_is_current_is_told_so(demo: Command, newborn: Newborn) -> None:
    shutil.rmtree(demo.folder)
    shutil.copytree(newborn.fresh, demo.folder)
    before = state(demo.folder)
    result = demo("update")
    assert result.returncode == 0, result.stderr
    assert "Nothing changes: the project is up to date." in result.stdout
    assert "Next" not in result.stdout
    assert state(demo.folder) == before


def test_a_project_that_is_newer_than_its_templates_newest_release_is_told_so(demo: Command, newborn: Newborn) -> None:
    ahead = demo.folder.parent / "ahead"
    shutil.copytree(newborn.checkout, ahead)
    (ahead / "template/ahead.txt").write_text("ahead\n")
    commit(ahead)
    shutil.rmtree(demo.folder)
    # aiapi runs from the other checkout, so that to it this one is a template like any other.
    made = demo.within(demo.folder.parent)("new", "demo", "--defaults", "--no-lock", "--template", str(ahead))
    assert made.returncode == 0, made.stderr
    before = state(demo.folder)
    result = demo("update")
    assert result.returncode == 0, result.stderr
    assert "v0.3.0, is older than the project's" in result.stderr
    assert "Nothing changes" in result.stdout
    assert state(demo.folder) == before
