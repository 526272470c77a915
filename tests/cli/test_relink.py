"""`aiapi relink`: another source for a project, recorded only when the project can be updated from it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from cli.command import git, tree
from cli.project_scenes import ANSWERS, FORGE, commit, make, only_named_bare_repositories, publish, release, run_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from cli.command import Command


@pytest.fixture
def aiapi(checkout: Path, command_from: Callable[[Path], Command]) -> Command:
    return command_from(checkout)


@pytest.fixture
def moved(checkout: Path, tmp_path: Path) -> Path:
    """The same template in another place, whose name has to be quoted in YAML."""
    place = tmp_path / "new: place #1 of the ünusual template, with a name that is longer than a line of YAML likes"
    return Path(shutil.copytree(checkout, place))


def recorded(demo: Command) -> str:
    return str(yaml.safe_load((demo.folder / ANSWERS).read_text())["_src_path"])


def refused(demo: Command, source: str) -> str:
    """Relink where it must fail, see that nothing changed, and return the message."""
    before = tree(demo.folder)
    code, said = run_json(demo, "relink", source)
    assert code == 1
    assert tree(demo.folder) == before
    message, remedy = said["error"]["message"], said["error"]["remedy"]
    assert remedy
    return f"{message} {remedy}"


def test_only_the_line_of_the_source_changes_and_plain_copier_updates_from_the_new_one(
    aiapi: Command, checkout: Path, moved: Path
) -> None:
    demo = make(aiapi)
    before = tree(demo.folder)
    shutil.rmtree(checkout / "template")
    result = demo("relink", str(moved))
    assert result.returncode == 0, result.stderr
    assert "Commit it: git commit" in result.stdout
    assert recorded(demo) == str(moved)
    after = tree(demo.folder)
    assert {name for name in after if after[name] != before.get(name)} == {ANSWERS}
    lines = zip(before[ANSWERS].splitlines(), after[ANSWERS].splitlines(), strict=True)
    assert [old.partition(b":")[0] for old, new in lines if old != new] == [b"_src_path"]
    commit(demo.folder)
    release(moved, "v0.2.0")
    command = [sys.executable, "-m", "copier", "update", "--defaults"]
    subprocess.run(command, cwd=demo.folder, env=dict(aiapi.environment), check=True, capture_output=True)
    assert (demo.folder / "v0.2.0.md").is_file()


@pytest.mark.parametrize(
    "written",
    [
        b"# mine\r\n_src_path: 'SOURCE'\r\n_commit: v0.1.0\r\nproject_name: demo # kept\r\n",
        b"_commit: v0.1.0\n_src_path:\n  SOURCE  # the old place\n\nproject_name: demo",
        b"{_commit: v0.1.0, _src_path: SOURCE, project_name: demo}\n",
    ],
)
def test_every_other_byte_of_the_answers_stays_however_they_are_written(
    aiapi: Command, checkout: Path, moved: Path, written: bytes
) -> None:
    demo = make(aiapi)
    file = demo.folder / ANSWERS
    file.write_bytes(written.replace(b"SOURCE", str(checkout).encode()))
    commit(demo.folder)
    assert demo("relink", str(moved)).returncode == 0
    before, after = written.split(b"SOURCE")
    assert file.read_bytes().startswith(before.rstrip(b"'"))
    assert file.read_bytes().endswith(after.lstrip(b"'"))
    assert recorded(demo) == str(moved)


def test_a_version_between_releases_is_found_by_its_commit(aiapi: Command, checkout: Path, tmp_path: Path) -> None:
    commit(checkout, "later")
    demo = make(aiapi)
    bare = tmp_path / "whole.git"
    git(checkout, "clone", "--quiet", "--bare", ".", str(bare))
    only_named_bare_repositories(aiapi)
    code, said = run_json(demo, "relink", f"git+{bare.as_uri()}")
    assert (code, said["changed"], said["source"]) == (0, True, f"git+{bare.as_uri()}")
    assert said["version"].startswith("v0.1.0-1-g")
    assert run_json(demo, "check")[0] == 0
    assert aiapi.leftovers() == ["demo"]


def test_a_web_address_is_recorded_as_copier_reads_it_without_its_password(aiapi: Command, checkout: Path) -> None:
    demo = make(aiapi)
    publish(checkout, aiapi)
    result = demo("relink", FORGE.replace("https://", "https://ada:secret@"))
    assert result.returncode == 0, result.stderr
    assert recorded(demo) == FORGE
    assert "password in the URL were dropped" in result.stderr
    assert "secret" not in result.stdout + result.stderr


def test_a_relative_path_becomes_a_full_one_with_a_warning(aiapi: Command, moved: Path) -> None:
    demo = make(aiapi)
    result = demo("relink", f"../../{moved.name}")
    assert recorded(demo) == str(moved)
    assert "on this machine only" in result.stderr


def test_the_recorded_source_again_changes_nothing(aiapi: Command, checkout: Path) -> None:
    demo = make(aiapi)
    before = tree(demo.folder)
    result = demo("relink", "../../checkout")
    assert result.returncode == 0
    assert f"{checkout} is already recorded" in result.stdout
    assert run_json(demo, "relink", str(checkout))[1]["changed"] is False
    assert tree(demo.folder) == before


def test_a_source_without_the_version_is_refused(aiapi: Command, moved: Path) -> None:
    demo = make(aiapi)
    git(moved, "tag", "--delete", "v0.1.0")
    assert "does not have v0.1.0" in refused(demo, str(moved))
    (moved / "docs").mkdir()
    (moved / "docs/releases.toml").write_text(f'"0.1.0" = "{git(moved, "rev-parse", "HEAD")}"\n')
    commit(moved)
    assert "uv run poe tags" in refused(demo, str(moved))


def test_a_repository_that_is_no_template_is_refused(aiapi: Command, tmp_path: Path) -> None:
    demo = make(aiapi)
    other = tmp_path / "other"
    other.mkdir()
    (other / "README.md").write_text("not a template\n")
    git(other, "init", "--quiet", "--initial-branch=main")
    commit(other)
    git(other, "tag", "v0.1.0")
    assert "it has no copier.yml" in refused(demo, str(other))


def test_a_source_that_cannot_be_asked_is_refused(aiapi: Command, moved: Path, tmp_path: Path) -> None:
    demo = make(aiapi)
    assert "There is no template at /not/here" in refused(demo, "/not/here")
    assert "did not answer: unable to access" in refused(demo, "https://127.0.0.1:9/none.git")
    (tmp_path / "empty").mkdir()
    assert "did not answer" in refused(demo, str(tmp_path / "empty"))
    bare = tmp_path / "bare"
    git(moved, "clone", "--quiet", "--bare", ".", str(bare))
    assert f"git+{bare.as_uri()}" in refused(demo, str(bare))
    assert demo("relink", f"git+{bare.as_uri()}").returncode == 0
    assert aiapi.leftovers() == ["demo"]


def test_answers_with_changes_that_are_not_committed_are_refused(aiapi: Command, moved: Path) -> None:
    demo = make(aiapi)
    with (demo.folder / ANSWERS).open("a") as answers:
        answers.write("mine: 1\n")
    assert "has uncommitted changes" in refused(demo, str(moved))
