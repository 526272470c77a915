"""The guard of releases: what a template renames or deletes has to be announced."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from cli.command import git
from release_notes import DUTIES, GAINS, Section, given_up, unannounced
from template_repository import save

if TYPE_CHECKING:
    from pathlib import Path

OPTIONS = [{"pgvector", "qdrant"}, {"celery", "arq"}]


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
