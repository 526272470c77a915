"""Where an update of a project takes its template from: the installation, where that has the recorded one."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from cli.command import CANONICAL, git
from cli.project_scenes import only_named_bare_repositories, release

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cli.command import Command


def ask(aiapi: Command, location: str, commit: str = "v0.1.0") -> dict[str, Any]:
    """Ask an installation for the source of a project that records this."""
    recording = f"engine.Rendered({{}}, {commit!r}, {location!r})"
    program = (
        "import json; from aiapi import engine, errors, source\n"
        f"try:\n    found = source.of_project({recording})\n"
        "except errors.AiapiError as error:\n    print(json.dumps({'error': error.message, 'remedy': error.remedy}))\n"
        "else:\n    here = found.checkout and str(found.checkout)\n"
        "    print(json.dumps({'location': found.location, 'ref': found.ref, 'here': here}))"
    )
    command = [sys.executable, "-c", program]
    environment = dict(aiapi.environment)
    done = subprocess.run(command, cwd=aiapi.folder, env=environment, check=True, capture_output=True, text=True)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.mark.parametrize("location", [CANONICAL, CANONICAL.removesuffix(".git"), f"git+{CANONICAL}"])
def test_the_bundle_stands_in_for_the_source_that_a_project_shares_with_the_installation(
    small_checkout: Path,
    installed: Callable[[dict[str, Any]], Path],
    command_from: Callable[[Path], Command],
    location: str,
) -> None:
    place = installed({})
    found = ask(command_from(place), location)
    head = git(small_checkout, "rev-parse", "HEAD")
    assert found == {"location": location, "ref": head, "here": str(place / "generator/aiapi/template.bundle")}


def test_an_alias_of_a_forge_is_the_same_source(
    installed: Callable[[dict[str, Any]], Path], command_from: Callable[[Path], Command]
) -> None:
    address = "https://github.com/team/aiapi.git"
    aiapi = command_from(installed({"url": address, "vcs_info": {"vcs": "git", "commit_id": "0" * 40}}))
    assert ask(aiapi, "gh:team/aiapi")["here"]
    assert not ask(aiapi, "gl:team/aiapi")["here"]
    assert not ask(aiapi, "git@github.com:team/aiapi.git")["here"]


def test_another_source_is_left_to_its_newest_release(
    checkout: Path, installed: Callable[[dict[str, Any]], Path], command_from: Callable[[Path], Command]
) -> None:
    aiapi = command_from(installed({}))
    for location in ("https://forge.invalid/other.git", "git@git.example.org:aiapi/aiapi.git", str(checkout)):
        assert ask(aiapi, location) == {"location": location, "ref": None, "here": None}


def test_the_source_of_a_project_that_a_checkout_made_is_that_checkout(small_checkout: Path, aiapi: Command) -> None:
    head = git(small_checkout, "rev-parse", "HEAD")
    assert ask(aiapi, str(small_checkout)) == {"location": str(small_checkout), "ref": head, "here": None}
    link = aiapi.folder / "link"
    link.symlink_to(small_checkout)
    assert ask(aiapi, str(link)) == {"location": str(link), "ref": head, "here": None}


def test_a_checkout_that_is_published_stands_in_for_its_address(
    checkout: Path, command_from: Callable[[Path], Command]
) -> None:
    address = "git@forge.invalid:team/aiapi.git"
    git(checkout, "remote", "add", "origin", address)
    git(checkout, "update-ref", "refs/remotes/origin/main", "HEAD")
    head = git(checkout, "rev-parse", "HEAD")
    aiapi = command_from(checkout)
    assert ask(aiapi, address) == {"location": address, "ref": head, "here": str(checkout)}
    assert ask(aiapi, str(checkout)) == {"location": str(checkout), "ref": head, "here": None}


@pytest.mark.parametrize("location", ["/not/here", "file:///not/here.git", "git+file:///not/here"])
def test_a_recorded_folder_that_is_gone_is_refused_with_relink_as_the_remedy(aiapi: Command, location: str) -> None:
    refused = ask(aiapi, location)
    assert location in refused["error"]
    assert "aiapi relink" in refused["remedy"]


def test_a_project_of_a_newer_aiapi_is_refused_with_the_upgrade_as_the_remedy(
    installed: Callable[[dict[str, Any]], Path], command_from: Callable[[Path], Command]
) -> None:
    aiapi = command_from(installed({}))
    for commit in ("v0.2.0", "v0.1.0-3-gabcdef0"):
        refused = ask(aiapi, CANONICAL, commit)
        assert commit in refused["error"]
        assert "Upgrade aiapi" in refused["remedy"]


def test_a_version_between_two_releases_is_known_to_the_bundle_that_has_it(
    checkout: Path, installed: Callable[..., Path], command_from: Callable[[Path], Command]
) -> None:
    git(checkout, "commit", "--quiet", "--allow-empty", "--message", "between")
    described = git(checkout, "describe", "--tags")
    release(checkout, "v0.2.0")
    aiapi = command_from(installed({}, checkout))
    assert ask(aiapi, CANONICAL, described)["here"]
    only_named_bare_repositories(aiapi)
    assert ask(aiapi, CANONICAL, described)["here"]
    assert "does not have v0.1.0-7-gabcdef0" in ask(aiapi, CANONICAL, "v0.1.0-7-gabcdef0")["error"]


def test_a_bundle_that_git_cannot_read_is_not_one_that_lacks_the_version(
    installed: Callable[..., Path], command_from: Callable[[Path], Command]
) -> None:
    place = installed({})
    bundle = place / "generator/aiapi/template.bundle"
    bundle.write_bytes(bundle.read_bytes()[:-200])
    assert "git cannot read the template" in ask(command_from(place), CANONICAL, "v0.1.0-3-gabcdef0")["error"]


def test_a_clone_without_tags_is_refused_with_the_task_that_makes_them_as_the_remedy(
    checkout: Path, command_from: Callable[[Path], Command]
) -> None:
    commit = git(checkout, "rev-parse", "HEAD")
    (checkout / "docs").mkdir()
    (checkout / "docs/releases.toml").write_text(f'"0.1.0" = "{commit}"\n')
    git(checkout, "add", "--all")
    git(checkout, "commit", "--quiet", "--message", "list")
    git(checkout, "tag", "--delete", "v0.1.0")
    refused = ask(command_from(checkout), str(checkout))
    assert "uv run poe tags" in refused["remedy"]
