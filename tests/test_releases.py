"""Version, tags, list of releases and changelog agree, and what a release gives up is announced."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from datetime import date
from typing import TYPE_CHECKING

import pytest
from copier._template import Template
from copier._vcs import get_latest_tag, get_repo
from packaging.version import Version

from aiapi import releases
from aiapi.source import Source
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
    elsewhere = Source("https://forge.invalid/team/aiapi.git", checkout=bundle)
    found = {releases.newest(source) for source in (Source(str(history)), Source(str(bundle)), elsewhere)}
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
    assert releases.address(location, tmp_path) == get_repo(location)
    assert releases.address("../template", tmp_path) == str(tmp_path.parent / "template")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A template of two releases' worth of files, the first committed."""
    contents = {
        "src/app/main.py.jinja": "main\n" * 20,
        "src/app/old.py": "old\n" * 20,
        "src/app/gone.py": "gone\n" * 20,
        "_parts/fragment.txt": "fragment\n" * 20,
        "{{ pgvector }}/src/app/vector_store.py": "pgvector\n" * 20,
        "{{ qdrant }}/src/app/vector_store.py": "qdrant\n" * 20,
        "{{ qdrant }}/_parts/readme.md": "readme\n" * 20,
        "src/app/queue.py": "queue\n" * 20,
    }
    for name, content in contents.items():
        file = tmp_path / "template" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    save(tmp_path)
    return tmp_path


def save(repository: Path) -> str:
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message", "more")
    return git(repository, "rev-parse", "HEAD")


def move(repository: Path, old: str, new: str) -> None:
    target = repository / "template" / new
    target.parent.mkdir(parents=True, exist_ok=True)
    (repository / "template" / old).rename(target)


def test_the_guard_sees_a_deletion_and_a_rename_until_they_are_announced(repository: Path) -> None:
    (repository / "template/src/app/gone.py").unlink()
    move(repository, "src/app/old.py", "src/app/new/name.py")
    save(repository)
    lost = given_up(repository, "HEAD^", "HEAD", OPTIONS)
    assert lost == {"src/app/gone.py": "", "src/app/old.py": "src/app/new/name.py"}
    assert unannounced(lost, Section("2", "unreleased", f"{GAINS} src/app/gone.py.")) == list(lost)
    half = Section("2", "unreleased", f"{DUTIES} `src/app/old.py` is now `src/app/new/name.py`, not_src/app/gone.py.")
    assert unannounced(lost, half) == ["src/app/gone.py"]
    whole = Section("2", "unreleased", f"{DUTIES} know that (src/app/old.py) moved.\nDelete `src/app/gone.py`.")
    assert unannounced(lost, whole) == []


def test_the_guard_looks_at_the_working_tree_too(repository: Path) -> None:
    (repository / "template/src/app/gone.py").unlink()
    move(repository, "src/app/old.py", "src/app/new.py")
    assert given_up(repository, "HEAD", None, OPTIONS).keys() == {"src/app/gone.py", "src/app/old.py"}


def test_what_a_project_still_gets_or_never_got_needs_no_announcement(repository: Path) -> None:
    move(repository, "src/app/main.py.jinja", "src/app/main.py")
    move(repository, "_parts/fragment.txt", "_parts/renamed.txt")
    (repository / "template/{{ qdrant }}/_parts/readme.md").unlink()
    move(repository, "src/app/queue.py", "{{ celery }}/src/app/queue.py")
    move(repository, "{{ celery }}/src/app/queue.py", "{{ arq }}/src/app/queue.py")
    shutil.copytree(repository / "template/{{ arq }}", repository / "template/{{ celery }}", dirs_exist_ok=True)
    assert given_up(repository, "HEAD", None, OPTIONS) == {}


def test_what_only_some_projects_lose_has_to_be_announced_all_the_same(repository: Path) -> None:
    (repository / "template/{{ qdrant }}/src/app/vector_store.py").unlink()
    move(repository, "src/app/queue.py", "{{ celery }}/src/app/queue.py")
    assert given_up(repository, "HEAD", None, OPTIONS).keys() == {"src/app/vector_store.py", "src/app/queue.py"}


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A repository with two commits, the first listed as a release, and the script that tags."""
    script = tmp_path / "generator/releasing/tags.py"
    script.parent.mkdir(parents=True)
    shutil.copy(ROOT / "generator/releasing/tags.py", script)
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    head = save(tmp_path)
    (tmp_path / "docs").mkdir()
    (tmp_path / releases.LIST).write_text(f'"0.1.0" = "{head}"\n')
    save(tmp_path)
    return tmp_path


def make_tags(clone: Path) -> tuple[int, str]:
    command = [sys.executable, "generator/releasing/tags.py"]
    result = subprocess.run(command, cwd=clone, capture_output=True, text=True, check=False)
    assert "Traceback" not in result.stderr
    return result.returncode, result.stdout + result.stderr


def test_a_clone_without_tags_gets_them_and_keeps_those_that_are_right(clone: Path) -> None:
    assert make_tags(clone) == (0, "Made v0.1.0.\n")
    assert git(clone, "cat-file", "-t", "v0.1.0") == "tag"
    assert git(clone, "rev-parse", "v0.1.0^{}") == git(clone, "rev-parse", "HEAD^")
    assert git(clone, "tag", "--list", "--format=%(contents)") == "aiapi 0.1.0"
    before = git(clone, "rev-parse", "v0.1.0")
    assert make_tags(clone) == (0, "Every release has its tag.\n")
    git(clone, "tag", "--delete", "v0.1.0")
    make_tags(clone)
    assert git(clone, "rev-parse", "v0.1.0") == before


def test_a_tag_that_is_elsewhere_or_not_annotated_is_an_error_and_nothing_is_tagged(clone: Path) -> None:
    first, second = git(clone, "rev-parse", "HEAD^"), git(clone, "rev-parse", "HEAD")
    (clone / releases.LIST).write_text(f'"0.1.0" = "{first}"\n"0.2.0" = "{second}"\n')
    git(clone, "tag", "--annotate", "--message", "wrong", "v0.1.0", second)
    code, said = make_tags(clone)
    assert (code, f"v0.1.0 is at {second}, but docs/releases.toml says {first}." in said) == (1, True)
    git(clone, "tag", "--force", "v0.1.0", first)
    code, said = make_tags(clone)
    assert (code, "v0.1.0 is not an annotated tag." in said) == (1, True)
    assert "git tag --delete v0.1.0" in said
    assert git(clone, "tag") == "v0.1.0"


def test_a_shallow_clone_is_told_to_fetch_its_history(clone: Path) -> None:
    shallow = clone / "shallow"
    git(clone, "clone", "--quiet", "--depth", "1", clone.as_uri(), str(shallow))
    code, said = make_tags(shallow)
    assert (code, "git fetch --unshallow" in said) == (1, True)
    (clone / releases.LIST).write_text(f'"0.1.0" = "{"0" * 40}"\n')
    assert "Correct docs/releases.toml." in make_tags(clone)[1]
