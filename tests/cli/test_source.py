"""Which template is recorded in a project, so that the project can be updated."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from cli.command import CANONICAL, git, tree
from cli.project_scenes import release

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cli.command import Command

MACHINE_ONLY = "can be updated on this machine only"


def recorded(folder: Path) -> tuple[str, str]:
    """Read the source and the version that a project records."""
    answers: dict[str, Any] = yaml.safe_load((folder / ".copier-answers.yml").read_text())
    return answers["_src_path"], answers["_commit"]


def test_a_checkout_is_recorded_by_path_and_tag_with_a_warning(aiapi: Command, small_checkout: Path) -> None:
    result = aiapi("new", "demo", "--defaults", "--no-lock")
    assert recorded(aiapi.folder / "demo") == (str(small_checkout), "v0.1.0")
    assert MACHINE_ONLY in result.stderr


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ("https://ada:secret@forge.invalid/team/aiapi", "git+https://forge.invalid/team/aiapi"),
        ("https://forge.invalid/team/aiapi.git", "https://forge.invalid/team/aiapi.git"),
        ("git@forge.invalid:team/aiapi.git", "git@forge.invalid:team/aiapi.git"),
    ],
)
def test_a_published_checkout_is_recorded_by_its_address_without_password_or_network(
    checkout: Path, command_from: Callable[[Path], Command], origin: str, expected: str
) -> None:
    aiapi = command_from(checkout)
    aiapi("new", "by-path", "--defaults", "--no-lock")
    git(checkout, "remote", "add", "origin", origin)
    git(checkout, "update-ref", "refs/remotes/origin/main", "HEAD")
    result = aiapi("new", "demo", "--defaults", "--no-lock")
    assert result.returncode == 0, result.stderr
    assert MACHINE_ONLY not in result.stderr
    assert recorded(aiapi.folder / "demo") == (expected, "v0.1.0")
    assert "secret" not in git(aiapi.folder / "demo", "grep", "-h", "", "HEAD")
    assert tree(aiapi.folder / "demo").keys() == tree(aiapi.folder / "by-path").keys()
    assert not (aiapi.folder.parent / "home/.cache/copier").exists()


def test_a_commit_that_is_not_published_yet_is_recorded_by_path(
    checkout: Path, command_from: Callable[[Path], Command]
) -> None:
    git(checkout, "remote", "add", "origin", "https://forge.invalid/team/aiapi.git")
    git(checkout, "update-ref", "refs/remotes/origin/main", "HEAD")
    git(checkout, "commit", "--quiet", "--allow-empty", "--message", "later")
    aiapi = command_from(checkout)
    assert MACHINE_ONLY in aiapi("new", "demo", "--defaults", "--no-lock").stderr
    source, commit = recorded(aiapi.folder / "demo")
    assert source == str(checkout)
    assert commit == git(checkout, "describe", "--tags")


def test_uncommitted_changes_are_left_out_and_named(checkout: Path, command_from: Callable[[Path], Command]) -> None:
    (checkout / "template/draft.md").write_text("not yet\n")
    (checkout / "copier.yml").write_text((checkout / "copier.yml").read_text() + "\nnew_question:\n  type: str\n")
    aiapi = command_from(checkout)
    result = aiapi("new", "demo", "--defaults", "--no-lock")
    assert result.returncode == 0, result.stderr
    assert "2 uncommitted changes" in result.stderr
    assert not (aiapi.folder / "demo/draft.md").exists()
    assert recorded(aiapi.folder / "demo")[1] == "v0.1.0"


def test_a_project_can_be_updated_by_plain_copier(checkout: Path, command_from: Callable[[Path], Command]) -> None:
    aiapi = command_from(checkout)
    aiapi("new", "demo", "--defaults", "--no-lock")
    release(checkout, "v0.2.0")
    command = [sys.executable, "-m", "copier", "update", "--defaults"]
    subprocess.run(command, cwd=aiapi.folder / "demo", env=dict(aiapi.environment), check=True, capture_output=True)
    assert (aiapi.folder / "demo/v0.2.0.md").is_file()
    assert recorded(aiapi.folder / "demo")[1] == "v0.2.0"


def test_a_checkout_without_a_commit_is_refused(checkout: Path, command_from: Callable[[Path], Command]) -> None:
    shutil.rmtree(checkout / ".git")
    aiapi = command_from(checkout)
    result = aiapi("new", "demo", "--defaults", "--no-lock")
    assert result.returncode == 1
    assert "can never be updated" in result.stderr
    assert aiapi.leftovers() == []


def test_an_installation_from_an_index_records_the_published_repository_without_asking_it(
    installed: Callable[[dict[str, Any]], Path], command_from: Callable[[Path], Command]
) -> None:
    aiapi = command_from(installed({}))
    result = aiapi("new", "demo", "--defaults", "--no-lock")
    assert result.returncode == 0, result.stderr
    assert "Warning" not in result.stderr
    assert recorded(aiapi.folder / "demo") == (CANONICAL, "v0.1.0")
    assert not (aiapi.folder.parent / "home/.cache/copier").exists()


def test_pip_install_from_a_checkout_remembers_the_checkout(
    small_checkout: Path, installed: Callable[[dict[str, Any]], Path], command_from: Callable[[Path], Command]
) -> None:
    aiapi = command_from(installed({"url": small_checkout.as_uri(), "dir_info": {}}))
    result = aiapi("new", "demo", "--defaults", "--no-lock")
    assert result.returncode == 0, result.stderr
    assert recorded(aiapi.folder / "demo") == (str(small_checkout), "v0.1.0")


def test_a_checkout_that_is_gone_since_the_installation_is_replaced_by_the_bundle_with_a_warning(
    installed: Callable[[dict[str, Any]], Path], command_from: Callable[[Path], Command]
) -> None:
    aiapi = command_from(installed({"url": "file:///not/here", "dir_info": {}}))
    result = aiapi("new", "demo", "--defaults", "--no-lock")
    assert result.returncode == 0, result.stderr
    assert "aiapi was installed from /not/here, which is no longer a git checkout." in result.stderr
    assert recorded(aiapi.folder / "demo") == (CANONICAL, "v0.1.0")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://ada:secret@forge.invalid/team/aiapi", "git+https://forge.invalid/team/aiapi"),
        ("https://forge.invalid/team/aiapi.git", "https://forge.invalid/team/aiapi.git"),
        ("ssh://git:secret@forge.invalid/team/aiapi.git", "ssh://git@forge.invalid/team/aiapi.git"),
    ],
)
def test_an_installation_from_git_records_that_address_without_password_or_network(
    installed: Callable[[dict[str, Any]], Path], command_from: Callable[[Path], Command], url: str, expected: str
) -> None:
    aiapi = command_from(installed({"url": url, "vcs_info": {"vcs": "git", "commit_id": "0" * 40}}))
    result = aiapi("new", "demo", "--defaults", "--no-lock")
    assert result.returncode == 0, result.stderr
    assert recorded(aiapi.folder / "demo") == (expected, "v0.1.0")
    assert "secret" not in git(aiapi.folder / "demo", "grep", "-h", "", "HEAD")


def test_an_installation_from_git_records_that_repository_at_that_commit(
    checkout: Path, installed: Callable[..., Path], command_from: Callable[[Path], Command]
) -> None:
    bare = checkout.with_name("bare.git")
    git(checkout, "clone", "--quiet", "--bare", ".", str(bare))
    place = installed({"url": bare.as_uri(), "vcs_info": {"vcs": "git", "commit_id": "0" * 40}}, checkout)
    release(checkout, "v0.2.0")
    git(checkout, "push", "--quiet", "--tags", str(bare), "main")
    aiapi = command_from(place)
    result = aiapi("new", "demo", "--defaults", "--no-lock")
    assert result.returncode == 0, result.stderr
    assert MACHINE_ONLY in result.stderr
    assert recorded(aiapi.folder / "demo") == (bare.as_uri(), "v0.1.0")


@pytest.mark.parametrize("damage", ["missing", "empty"])
def test_a_damaged_installation_says_so_and_takes_another_template(
    small_checkout: Path,
    installed: Callable[[dict[str, Any]], Path],
    command_from: Callable[[Path], Command],
    damage: str,
) -> None:
    place = installed({})
    bundle = place / "generator/aiapi/template.bundle"
    bundle.unlink() if damage == "missing" else bundle.write_bytes(b"")
    aiapi = command_from(place)
    refused = aiapi("new", "demo", "--defaults", "--no-lock")
    assert refused.returncode == 1
    assert "This installation of aiapi is damaged" in refused.stderr
    assert "--template" in refused.stderr
    given = aiapi("new", "demo", "--defaults", "--no-lock", "--template", str(small_checkout))
    assert given.returncode == 0, given.stderr
    assert recorded(aiapi.folder / "demo") == (str(small_checkout), "v0.1.0")


def test_a_bundle_that_is_cut_short_is_refused_in_one_line(
    installed: Callable[[dict[str, Any]], Path], command_from: Callable[[Path], Command]
) -> None:
    place = installed({})
    bundle = place / "generator/aiapi/template.bundle"
    bundle.write_bytes(bundle.read_bytes()[:-100])
    aiapi = command_from(place)
    refused = aiapi("new", "demo", "--defaults", "--no-lock")
    assert refused.returncode == 1
    assert "git could not fetch the template" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert aiapi.leftovers() == []


def test_an_unpacked_sdist_that_is_installed_editable_uses_its_bundle(
    small_checkout: Path, installed: Callable[[dict[str, Any]], Path], command_from: Callable[[Path], Command]
) -> None:
    place = installed({})
    shutil.copy(small_checkout / "copier.yml", place)
    shutil.copytree(small_checkout / "template", place / "template")
    aiapi = command_from(place)
    result = aiapi("new", "demo", "--defaults", "--no-lock")
    assert result.returncode == 0, result.stderr
    assert recorded(aiapi.folder / "demo") == (CANONICAL, "v0.1.0")


def test_a_template_given_by_a_relative_path_is_recorded_by_its_full_one(
    checkout: Path, command_from: Callable[[Path], Command]
) -> None:
    aiapi = command_from(checkout)
    result = aiapi("new", "demo", "--defaults", "--no-lock", "--template", "../checkout", "--json")
    assert recorded(aiapi.folder / "demo")[0] == str(checkout)
    assert "--template ../checkout" in json.loads(result.stdout)["command"]


def test_a_template_that_is_fetched_judges_the_answers_itself(
    checkout: Path, command_from: Callable[[Path], Command]
) -> None:
    bare = checkout.with_name("bare.git")
    git(checkout, "clone", "--quiet", "--bare", ".", str(bare))
    aiapi = command_from(checkout)
    unknown = aiapi("new", "demo", "--defaults", "--no-lock", "--template", str(bare), "-d", "nonsense=1")
    assert unknown.returncode == 1
    assert "nonsense: the template does not ask for it." in unknown.stderr
    wrong = aiapi("new", "demo", "--defaults", "--no-lock", "--template", str(bare), "--inference", "tpu")
    assert wrong.returncode == 1
    assert "inference" in wrong.stderr
    assert aiapi.leftovers() == []
    right = aiapi("new", "demo", "--defaults", "--no-lock", "--template", str(bare), "--inference", "gpu")
    assert right.returncode == 0, right.stderr


@pytest.mark.parametrize("template", ["/not/here", "https://127.0.0.1:9/none.git"])
def test_a_template_that_is_not_there_is_refused_in_one_line(aiapi: Command, template: str) -> None:
    result = aiapi("new", "demo", "--defaults", "--no-lock", "--template", template)
    assert result.returncode == 1
    assert "Error: " in result.stderr
    assert "Traceback" not in result.stderr
    assert aiapi.leftovers() == []
