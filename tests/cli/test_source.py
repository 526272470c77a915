"""Which template is recorded in a project, so that the project can be updated."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from cli.command import git, tree

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cli.command import Command

CANONICAL = "https://git.example.org/aiapi/aiapi.git"
MACHINE_ONLY = "will work on this machine only"


def recorded(folder: Path) -> tuple[str, str]:
    """Read the source and the version that a project records."""
    answers: dict[str, Any] = yaml.safe_load((folder / ".copier-answers.yml").read_text())
    return answers["_src_path"], answers["_commit"]


def release(checkout: Path, version: str) -> None:
    """Add a file to the template and commit it as a release."""
    (checkout / "template" / f"{version}.md").write_text(f"{version}\n")
    git(checkout, "add", "--all")
    git(checkout, "commit", "--quiet", "--message", version)
    git(checkout, "tag", "--annotate", "--message", version, version)


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


@pytest.fixture
def installed(small_checkout: Path, tmp_path: Path) -> Callable[[dict[str, Any]], Path]:
    """Lay out aiapi as a wheel does, with the given PEP 610 record of where it came from."""

    def lay_out(origin: dict[str, Any], checkout: Path = small_checkout) -> Path:
        site = tmp_path / "site/generator"
        shutil.copytree(small_checkout / "generator/aiapi", site / "aiapi")
        shutil.copy(small_checkout / "copier.yml", site / "aiapi")
        git(checkout, "bundle", "create", "--quiet", str(site / "aiapi/template.bundle"), "HEAD", "--tags")
        metadata = site / "aiapi-0.1.0.dist-info"
        metadata.mkdir()
        text = f"Metadata-Version: 2.4\nName: aiapi\nVersion: 0.1.0\nProject-URL: Repository, {CANONICAL}\n"
        (metadata / "METADATA").write_text(text)
        (metadata / "direct_url.json").write_text(json.dumps(origin))
        return site.parent

    return lay_out


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
    assert "aiapi was installed from /not/here, which is no git checkout now." in result.stderr
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
