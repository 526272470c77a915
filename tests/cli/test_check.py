"""`aiapi check`: whether the template has a newer release than the one a project is made from."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from cli.command import git
from cli.project_scenes import FORGE, commit, make, publish, release, run_json

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cli.command import Command


@pytest.fixture
def aiapi(checkout: Path, command_from: Callable[[Path], Command]) -> Command:
    return command_from(checkout)


def test_a_project_of_the_newest_release_is_current(aiapi: Command, checkout: Path) -> None:
    demo = make(aiapi)
    assert run_json(demo, "check") == (
        0,
        {
            "ok": True,
            "project": str(demo.folder),
            "current": "v0.1.0",
            "newest": "v0.1.0",
            "outdated": False,
            "source": str(checkout),
            "asked_source": True,
            "problem": "",
            "installed": None,
            "upgrade_first": False,
            "unreleased": None,
        },
    )
    assert f"demo is at v0.1.0 of {checkout}, the newest release." in demo("check").stdout


def test_a_project_of_an_older_release_is_outdated_and_told_how_to_look(aiapi: Command, checkout: Path) -> None:
    demo = make(aiapi)
    release(checkout, "v0.10.0")
    release(checkout, "v0.9.0")
    result = aiapi("check", "demo")
    assert result.returncode == 2
    assert "v0.10.0 is released." in result.stdout
    assert "aiapi update --dry-run" in result.stdout
    assert run_json(demo, "check")[1]["outdated"] is True


def test_a_commit_of_this_installation_that_is_not_released_is_told_as_what_an_update_leads_to(
    aiapi: Command, checkout: Path
) -> None:
    demo = make(aiapi)
    (checkout / "template/unreleased.md").write_text("half a feature\n")
    commit(checkout, "later")
    result = demo("check")
    described = git(checkout, "describe", "--tags")
    assert result.returncode == 0
    assert f"an update goes to the commit of this installation, {described}, which is not released" in result.stderr
    assert run_json(demo, "check")[1]["unreleased"] == described
    assert demo("update", "--no-lock").returncode == 0
    assert (demo.folder / "unreleased.md").is_file()
    assert "not released" not in demo("check").stderr


def test_pre_releases_and_other_tags_are_no_news(aiapi: Command, checkout: Path) -> None:
    demo = make(aiapi)
    for tag in ("v0.2.0rc1", "v0.3.0.dev1", "stable", "0123456789abcdef"):
        release(checkout, tag)
    assert run_json(demo, "check")[1]["newest"] == "v0.1.0"


def test_a_project_between_two_releases_is_newer_than_the_first_and_older_than_the_second(
    aiapi: Command, checkout: Path
) -> None:
    commit(checkout, "later")
    demo = make(aiapi)
    code, said = run_json(demo, "check")
    assert (code, said["current"][:9]) == (0, "v0.1.0-1-")
    release(checkout, "v0.1.1")
    assert demo("check").returncode == 2


def test_a_project_that_records_a_bare_commit_is_placed_among_the_releases(aiapi: Command, checkout: Path) -> None:
    git(checkout, "tag", "--delete", "v0.1.0")
    demo = make(aiapi)
    result = demo("check")
    assert result.returncode == 1
    assert "has no release to compare with" in result.stderr
    git(checkout, "tag", "--annotate", "--message", "late", "v0.1.0")
    assert demo("check").returncode == 0
    release(checkout, "v0.2.0")
    assert demo("check").returncode == 2


def test_a_clone_that_lists_releases_without_having_their_tags_is_told_to_make_them(
    aiapi: Command, checkout: Path
) -> None:
    head = git(checkout, "rev-parse", "HEAD")
    git(checkout, "tag", "--delete", "v0.1.0")
    (checkout / "docs").mkdir()
    (checkout / "docs/releases.toml").write_text(f'"0.1.0" = "{head}"\n')
    commit(checkout)
    result = make(aiapi)("check")
    assert result.returncode == 1
    assert f"cd {checkout} && uv run poe tags" in result.stderr


def test_a_source_that_is_gone_leaves_it_unknown(aiapi: Command, small_checkout: Path, tmp_path: Path) -> None:
    elsewhere = shutil.copytree(small_checkout, tmp_path / "elsewhere")
    demo = make(aiapi, "--template", str(elsewhere))
    shutil.rmtree(elsewhere)
    code, said = run_json(demo, "check")
    assert (code, said["ok"]) == (1, False)
    assert "aiapi relink" in said["error"]["remedy"]


def test_without_a_network_this_installation_judges_alone_and_says_so(aiapi: Command, checkout: Path) -> None:
    git(checkout, "remote", "add", "origin", FORGE)
    git(checkout, "update-ref", "refs/remotes/origin/main", "HEAD")
    demo = make(aiapi)
    result = demo("check")
    assert result.returncode == 0
    assert "the source did not answer: unable to access" in result.stderr
    release(checkout, "v0.2.0")
    git(checkout, "update-ref", "refs/remotes/origin/main", "HEAD")
    code, said = run_json(demo, "check")
    assert (code, said["newest"], said["asked_source"]) == (2, "v0.2.0", False)


def test_a_source_that_only_the_network_has_is_unknown_without_it(
    aiapi: Command, checkout: Path, tmp_path: Path
) -> None:
    bare = tmp_path / "other.git"
    git(checkout, "clone", "--quiet", "--bare", ".", str(bare))
    demo = make(aiapi, "--template", str(bare))
    answers = demo.folder / ".copier-answers.yml"
    answers.write_text(answers.read_text().replace(str(bare), "https://127.0.0.1:9/other.git"))
    result = demo("check")
    assert result.returncode == 1
    assert "https://127.0.0.1:9/other.git did not answer: unable to access" in result.stderr
    assert "Try again with a network." in result.stderr


def test_a_source_that_is_ahead_of_this_installation_asks_for_an_upgrade_first(aiapi: Command, checkout: Path) -> None:
    bare = publish(checkout, aiapi)
    demo = make(aiapi)
    ahead = checkout.with_name("ahead")
    git(checkout, "clone", "--quiet", str(bare), str(ahead))
    release(ahead, "v0.2.0")
    git(ahead, "push", "--quiet", "--tags", "origin", "main")
    result = demo("check")
    assert result.returncode == 2
    assert "Upgrade aiapi first: this installation has the template up to v0.1.0." in result.stdout
    assert run_json(demo, "check")[1]["upgrade_first"] is True


def test_a_project_that_is_ahead_of_this_installation_is_judged_by_its_source(aiapi: Command, checkout: Path) -> None:
    bare = publish(checkout, aiapi)
    demo = make(aiapi)
    ahead = checkout.with_name("ahead")
    git(checkout, "clone", "--quiet", str(bare), str(ahead))
    release(ahead, "v0.2.0")
    git(ahead, "push", "--quiet", "--tags", "origin", "main")
    answers = demo.folder / ".copier-answers.yml"
    answers.write_text(answers.read_text().replace("v0.1.0", "v0.2.0"))
    code, said = run_json(demo, "check")
    assert (code, said["current"], said["newest"], said["outdated"]) == (0, "v0.2.0", "v0.2.0", False)


def test_outside_a_project_there_is_nothing_to_check(aiapi: Command) -> None:
    result = aiapi("check")
    assert result.returncode == 1
    assert "is not in a project" in result.stderr
