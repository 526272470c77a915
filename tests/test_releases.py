"""Version, tags, list of releases and changelog agree, and what a release gives up is announced."""

from __future__ import annotations

import subprocess
import tomllib
from datetime import date
from typing import TYPE_CHECKING

import pytest
from copier._template import Template
from copier._vcs import get_latest_tag, get_repo
from packaging.version import Version

from aiapi import releases
from aiapi.location import address
from release_notes import DUTIES, GAINS, Section, given_up, sections, unannounced
from template_repository import ROOT, options

if TYPE_CHECKING:
    from pathlib import Path

LISTED = releases.listed((ROOT / releases.LIST).read_text())
CHANGELOG = (ROOT / "docs/changelog.md").read_text()
SECTIONS = {section.version: section for section in sections(CHANGELOG)}
OPTIONS = [{"pgvector", "qdrant"}, {"celery", "arq"}]


def git(folder: Path, *arguments: str) -> str:
    command = ["git", *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def version_of(text: str) -> str:
    return str(tomllib.loads(text)["project"]["version"])


def agreement(working: str, listed: list[str], entries: dict[str, Section]) -> str:
    """Say what is wrong with the version that is being worked on, or nothing."""
    version = Version(working)
    if working in listed:
        return ""
    if any(version <= Version(each) for each in listed):
        return f"{working} is neither released nor newer than every release"
    section = entries.get(version.base_version)
    if section is None:
        return f"the changelog has no section for {version.base_version}"
    unreleased = section.when == "unreleased"
    return "" if unreleased or not version.is_devrelease else f"{working} is in development, but its section is dated"


def test_the_list_of_releases_is_sorted_and_has_whole_commits() -> None:
    assert list(LISTED) == sorted(LISTED, key=Version)
    assert all(len(commit) == 40 for commit in LISTED.values())


@pytest.mark.parametrize("version", LISTED)
def test_a_release_has_a_dated_section_that_says_what_it_brings_and_asks(version: str) -> None:
    section = SECTIONS[version]
    assert date.fromisoformat(section.when)
    assert 0 <= section.text.find(GAINS) < section.text.find(DUTIES)
    assert section.duties.strip()


@pytest.mark.parametrize("version", LISTED)
def test_the_package_has_the_version_of_the_release_at_its_commit(version: str) -> None:
    assert version_of(git(ROOT, "show", f"{LISTED[version]}:pyproject.toml")) == version


@pytest.mark.parametrize("version", LISTED)
def test_a_tag_that_this_clone_has_is_annotated_and_at_the_listed_commit(version: str) -> None:
    if git(ROOT, "tag", "--list", f"v{version}"):
        assert git(ROOT, "cat-file", "-t", f"refs/tags/v{version}") == "tag"
        assert git(ROOT, "rev-parse", f"refs/tags/v{version}^{{commit}}") == LISTED[version]
        assert git(ROOT, "tag", "--list", "--format=%(contents:subject)", f"v{version}") == f"aiapi {version}"


def test_every_version_tag_of_this_clone_is_a_listed_release() -> None:
    tags = git(ROOT, "tag", "--list", "v[0-9]*", "--merged", "HEAD").splitlines()
    assert {tag.removeprefix("v") for tag in tags} <= LISTED.keys()


def test_the_sections_of_the_changelog_run_from_new_to_old() -> None:
    assert list(SECTIONS) == sorted(SECTIONS, key=Version, reverse=True)
    assert "unreleased" not in [section.when for section in list(SECTIONS.values())[1:]]


def test_the_version_that_is_worked_on_is_released_or_has_its_section() -> None:
    assert agreement(version_of((ROOT / "pyproject.toml").read_text()), list(LISTED), SECTIONS) == ""


@pytest.mark.parametrize(
    ("working", "when", "agrees"),
    [
        ("0.1.0", "2026-01-01", True),
        ("0.2.0.dev0", "unreleased", True),
        ("0.2.0", "unreleased", True),
        ("0.2.0", "2026-01-01", True),
        ("0.2.0.dev0", "2026-01-01", False),
        ("0.3.0.dev0", "unreleased", False),
        ("0.0.9", "unreleased", False),
    ],
)
def test_a_working_version_that_the_changelog_does_not_know_is_noticed(
    working: str, when: str, *, agrees: bool
) -> None:
    assert (agreement(working, ["0.1.0"], {"0.2.0": Section("0.2.0", when, "")}) == "") is agrees


def test_files_that_were_renamed_or_deleted_since_the_last_release_are_announced() -> None:
    newest = list(LISTED.values())[-1]
    lost = given_up(ROOT, newest, None, options().values())
    missing = unannounced(lost, next(iter(SECTIONS.values())))
    told = [f"{path} → {lost[path] or 'deleted'}" for path in missing]
    assert not told, f"name them under {DUTIES} in docs/changelog.md, with what an owner has to do"


@pytest.fixture
def history(tmp_path: Path) -> Path:
    """A repository with releases, a pre-release, other tags and commits between them."""
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    for tag in ("", "v0.9.0", "", "0.10.0", "v0.11.0rc1", "", "stable"):
        git(tmp_path, "commit", "--quiet", "--allow-empty", "--message", "more")
        if tag:
            git(tmp_path, "tag", "--annotate", "--message", tag, tag)
    return tmp_path


def test_versions_are_those_that_copier_sees(history: Path) -> None:
    told = {}
    for commit in git(history, "rev-list", "v0.11.0rc1^0", "^v0.9.0~1").splitlines():
        template = Template(url=str(history), ref=commit)
        told[template.commit or ""] = template.version
        template._cleanup()  # noqa: SLF001 - Copier offers no other way
    assert len(told) == 4
    assert {described: releases.parse(described) for described in told} == told
    assert [releases.parse(each) for each in ("stable", "abcdef0", "1234567", "v1-x", "")] == [None] * 5


def test_the_newest_release_is_the_one_that_copier_takes_from_a_folder_or_a_bundle(history: Path) -> None:
    bundle = history / "template.bundle"
    git(history, "bundle", "create", "--quiet", str(bundle), "--all")
    found = {releases.latest(releases.ask(str(place)).tags) for place in (history, bundle)}
    assert found == {get_latest_tag(str(history))} == {"0.10.0"}
    assert releases.latest(["stable", "v1.0.0rc1"]) is None


@pytest.mark.parametrize(
    "location",
    [
        *("gh:team/aiapi", "gl:/team/aiapi.git", "https://github.com/team/aiapi", "git@forge.invalid:team/aiapi"),
        *("git+https://forge.invalid/team/aiapi", "git+ssh://git@forge.invalid/aiapi", "https://forge.invalid/a.git"),
    ],
)
def test_an_address_is_read_as_copier_reads_it(location: str, tmp_path: Path) -> None:
    assert address(location, tmp_path) == get_repo(location)
    assert address("../template", tmp_path) == str(tmp_path.parent / "template")
