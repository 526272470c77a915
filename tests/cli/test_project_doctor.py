"""`aiapi doctor` in a project: whether it can be updated, and what the last update left to resolve."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from aiapi import conflicts
from aiapi.conflicts import Kind, Leftover
from cli.command import git
from cli.project_scenes import ANSWERS, FORGE, commit, make, publish, release, run_json

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cli.command import Command

CONFLICT = "one\n<<<<<<< before updating\nmine\n=======\ntheirs\n>>>>>>> after updating\ntwo\n"


@pytest.fixture
def aiapi(checkout: Path, command_from: Callable[[Path], Command]) -> Command:
    return command_from(checkout)


def checks(demo: Command) -> tuple[int, dict[str, Any]]:
    """Run the doctor; return its exit code and the checks by name."""
    code, said = run_json(demo, "doctor")
    return code, {check["name"]: check for check in said["checks"]}


def failed(found: dict[str, Any]) -> set[str]:
    """Name the checks of the project that fail."""
    names = {"project", "source", "version", "ignored files", "leftovers"} & found.keys()
    return {name for name in names if not found[name]["ok"]}


def test_a_project_that_can_be_updated_passes_every_check(aiapi: Command, checkout: Path) -> None:
    demo = make(aiapi)
    _, found = checks(demo)
    assert failed(found) == set()
    assert found["project"]["detail"] == f"at v0.1.0 of {checkout}"
    assert found["source"]["detail"] == "reachable, newest release: v0.1.0"
    assert "v0.1.0 is available and renders" in demo.within(demo.folder / "src/app")("doctor").stdout
    assert "project" not in checks(aiapi)[1]


def test_answers_that_cannot_be_read_fail(aiapi: Command) -> None:
    demo = make(aiapi)
    (demo.folder / ANSWERS).write_text("_commit: [")
    code, found = checks(demo)
    assert (code, failed(found)) == (1, {"project"})
    assert ANSWERS in found["project"]["detail"]


def test_a_source_that_is_gone_fails_with_relink_as_the_remedy(
    aiapi: Command, small_checkout: Path, tmp_path: Path
) -> None:
    elsewhere = shutil.copytree(small_checkout, tmp_path / "elsewhere")
    demo = make(aiapi, "--template", str(elsewhere))
    shutil.rmtree(elsewhere)
    code, found = checks(demo)
    assert (code, failed(found)) == (1, {"project"})
    assert "aiapi relink" in found["project"]["remedy"]


def test_a_network_that_is_away_is_only_a_note(aiapi: Command, checkout: Path) -> None:
    git(checkout, "remote", "add", "origin", FORGE)
    git(checkout, "update-ref", "refs/remotes/origin/main", "HEAD")
    demo = make(aiapi)
    _, found = checks(demo)
    assert failed(found) == {"source"}
    assert found["source"]["required"] is False
    assert found["version"]["ok"]
    answers = demo.folder / ANSWERS
    answers.write_text(answers.read_text().replace(FORGE, "https://127.0.0.1:9/other.git"))
    _, found = checks(demo)
    assert failed(found) == {"source"}
    assert found["source"]["required"] is False
    assert "version" not in found


def test_an_address_that_answers_with_nothing_fails_with_relink_as_the_remedy(aiapi: Command, checkout: Path) -> None:
    bare = publish(checkout, aiapi)
    demo = make(aiapi)
    assert failed(checks(demo)[1]) == set()
    shutil.rmtree(bare)
    code, found = checks(demo)
    assert (code, failed(found)) == (1, {"source"})
    assert "aiapi relink" in found["source"]["remedy"]


def test_a_version_that_the_source_does_not_have_fails(aiapi: Command, checkout: Path) -> None:
    release(checkout, "v0.2.0")
    demo = make(aiapi)
    git(checkout, "tag", "--delete", "v0.2.0")
    code, found = checks(demo)
    assert (code, failed(found)) == (1, {"version"}), found
    assert "v0.2.0" in found["version"]["detail"]
    assert aiapi.leftovers() == ["demo"]


def test_what_an_update_left_to_decide_fails_and_is_listed(aiapi: Command) -> None:
    demo = make(aiapi)
    (demo.folder / "src/app/main.py").write_text(CONFLICT)
    (demo.folder / "compose.yaml.yours").write_text("mine\n")
    result = demo("doctor")
    assert result.returncode == 1
    listed = "compose.yaml.yours (saved edit), src/app/main.py:2 (conflict markers)"
    assert f"FAIL     leftovers: {listed}" in result.stdout


def test_a_file_of_the_template_that_git_ignores_fails_unless_git_has_it(aiapi: Command) -> None:
    demo = make(aiapi)
    (demo.folder / ".gitignore").write_text("compose.yaml\n*.log\n")
    (demo.folder / "mine.log").write_text("not the template's\n")
    git(demo.folder, "add", "--force", "mine.log")
    _, found = checks(demo)
    assert failed(found) == {"ignored files"}
    assert (found["ignored files"]["required"], "compose.yaml" in found["ignored files"]["detail"]) == (False, True)
    assert "mine.log" not in found["ignored files"]["detail"]
    git(demo.folder, "rm", "--quiet", "--cached", "compose.yaml")
    code, found = checks(demo)
    assert (code, failed(found)) == (1, {"ignored files"})


def test_a_name_that_begins_with_a_colon_is_checked_like_any_other(demo: Command) -> None:
    (demo.folder / ".gitignore").write_text(":odd.txt\n")
    assert ":odd.txt" in checks(demo)[1]["ignored files"]["detail"]


def test_a_project_without_a_repository_is_told_what_updates_need(aiapi: Command) -> None:
    demo = make(aiapi, "--no-git")
    _, found = checks(demo)
    assert failed(found) == {"leftovers"}
    assert "git init" in found["leftovers"]["remedy"]
    assert found["leftovers"]["required"] is False


def test_a_project_of_another_user_is_told_how_to_trust_it(aiapi: Command) -> None:
    demo = make(aiapi)
    result = demo("doctor", GIT_TEST_ASSUME_DIFFERENT_OWNER="1")
    assert f"If you trust it: git config --global --add safe.directory {demo.folder}" in result.stdout
    assert "git init" not in result.stdout


def test_conflicts_that_a_commit_has_are_the_users_own(repository: Path) -> None:
    for name in ("about merging.md", "changed.md", "mine.yours"):
        (repository / name).write_text(CONFLICT)
    commit(repository)
    assert conflicts.find(repository) == ()
    (repository / "changed.md").write_text(f"one more line\n{CONFLICT}")
    assert conflicts.find(repository) == (Leftover("changed.md", Kind.MARKERS, (3,)),)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """An empty repository, with a name that has to be quoted."""
    folder = tmp_path / "a project, ünusual"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch=main")
    return folder


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (CONFLICT, (2,)),
        (CONFLICT.replace("\n", "\r\n"), (2,)),
        (CONFLICT * 2, (2, 9)),
        ("<<<<<<< before updating\nhalf of it\n", (1,)),
        ("half of it\n>>>>>>> after updating\n", (2,)),
        ("<<<<<<< HEAD\nmine\n||||||| base\nold\n=======\ntheirs\n>>>>>>> feature\n", (1,)),
        ("x" * 3_000_000 + "\n" + CONFLICT, (3,)),
        ("A title\n=======\n\nText.\n", ()),
        ("Look for `<<<<<<< before updating` and >>>>>>> after updating.\n", ()),
        ("    <<<<<<< before updating\n    =======\n    >>>>>>> after updating\n", ()),
        ("cat <<<<<<< here\n<<<<<<<<<<\n>>>>>>>>>>\n", ()),
        ("<<<<<<< someone\nwrote this\n\nA title\n=======\n", ()),
        ("\0" + CONFLICT, ()),
        ("x" * 3_000_000 + "<<<<<<< before updating\n", ()),
        ("", ()),
    ],
)
def test_only_real_conflicts_are_found_with_the_lines_that_open_them(
    repository: Path, content: str, lines: tuple[int, ...]
) -> None:
    (repository / "file").write_bytes(content.encode())
    found = [Leftover("file", Kind.MARKERS, lines)] if lines else []
    assert list(conflicts.find(repository)) == found


def test_files_are_found_by_every_name_and_even_when_they_are_ignored(repository: Path) -> None:
    (repository / ".gitignore").write_text("*.rej\n*.yours\nignored/\n")
    names = ["ä b.txt.rej", "sub folder/deep/x.yours", 'quo"te.rej', "tracked.yours"]
    for name in [*names, "ignored/y.rej", "rej", "sub folder/yours.txt"]:
        (repository / name).parent.mkdir(parents=True, exist_ok=True)
        (repository / name).write_text(CONFLICT if name.startswith("ignored") else "")
    git(repository, "add", "--force", "tracked.yours", "sub folder/yours.txt")
    assert [left.path for left in conflicts.find(repository)] == sorted(names)
    inner = conflicts.find(repository / "sub folder")
    assert inner == (Leftover("deep/x.yours", Kind.SAVED),)
    undecodable = os.fsdecode(b"caf\xe9.rej")
    (repository / undecodable).touch()
    assert "caf\\udce9.rej" in " ".join(map(str, conflicts.find(repository)))


def test_an_unfinished_merge_is_found_until_git_is_told_that_it_is_over(repository: Path) -> None:
    for branch, content in (("main", "one\n"), ("theirs", "two\n"), ("main", "three\n")):
        git(repository, "checkout", "--quiet", "-B", branch)
        (repository / "file").write_text(content)
        commit(repository)
        if branch == "theirs":
            git(repository, "checkout", "--quiet", "-B", "main", "HEAD^")
    git(repository, "config", "merge.conflictStyle", "diff3")
    with pytest.raises(Exception, match="merge"):
        git(repository, "merge", "theirs")
    assert conflicts.find(repository) == (Leftover("file", Kind.MARKERS, (1,)), Leftover("file", Kind.UNMERGED))
    (repository / "file").write_text("four\n")
    assert conflicts.find(repository) == (Leftover("file", Kind.UNMERGED),)
    commit(repository)
    assert conflicts.find(repository) == ()


def test_links_and_deleted_files_are_passed_over(repository: Path) -> None:
    (repository / "gone").write_text(CONFLICT)
    git(repository, "add", "--all")
    (repository / "gone").unlink()
    (repository / "dangling.rej").symlink_to("nowhere")
    (repository / "loop").symlink_to("loop")
    assert conflicts.find(repository) == ()
