"""Each way to install aiapi: what its projects record, and that plain Copier updates them; all without a network."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cli.command import git, tree
from installation.workshop import is_current, recorded

if TYPE_CHECKING:
    from installation.conftest import Built
    from installation.workshop import Workshop

CANONICAL = "https://git.example.org/aiapi/aiapi.git"
# Asks the installation what it takes for the source of the project in a folder.
STAND_IN = """
import sys
from pathlib import Path
from aiapi import engine, source
found = source.of_project(engine.read_answers(Path(sys.argv[1])))
print(found.location, found.ref, found.checkout)
"""


@pytest.fixture(scope="session")
def newer_wheel(workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of the newer release."""
    out = tmp_path_factory.mktemp("newer")
    done = workshop.build(workshop.newer, out, "--wheel")
    assert done.returncode == 0, done.stderr
    return next(out.glob("*.whl"))


@pytest.fixture
def version(workshop: Workshop) -> str:
    """The version of the checkout, as Copier records it."""
    return git(workshop.checkout, "describe", "--tags")


def test_a_wheel_records_the_published_repository_and_a_newer_one_stands_in_for_it(
    workshop: Workshop, built: Built, newer_wheel: Path, version: str, tmp_path: Path
) -> None:
    workshop.install(built.wheel)
    project = workshop.make_project(tmp_path / "work")
    assert recorded(project) == (CANONICAL, version)
    workshop.install(newer_wheel)
    found = workshop.run(workshop.program("python"), "-c", STAND_IN, project, cwd=tmp_path)
    bundle = workshop.package / "template.bundle"
    assert found.stdout.split() == [CANONICAL, git(workshop.newer, "rev-parse", "HEAD"), str(bundle)], found.stderr
    forge = workshop.source(tmp_path / "forge.git", bare=True)
    workshop.publish(forge)
    workshop.update_with_copier(project, redirect=(CANONICAL, forge))
    assert is_current(project)
    assert recorded(project)[0] == CANONICAL


def test_with_a_newer_wheel_the_command_and_plain_copier_update_to_the_same(
    workshop: Workshop, built: Built, newer_wheel: Path, tmp_path: Path
) -> None:
    workshop.install(built.wheel)
    project = workshop.make_project(tmp_path / "work")
    plain = Path(shutil.copytree(project, tmp_path / "plain"))
    workshop.install(newer_wheel)
    updated = workshop.run(workshop.program("aiapi"), "update", "--no-lock", "--json", cwd=project)
    assert updated.returncode == 0, updated.stderr
    forge = workshop.source(tmp_path / "forge.git", bare=True)
    workshop.publish(forge)
    workshop.update_with_copier(plain, redirect=(CANONICAL, forge))
    assert is_current(project)
    assert tree(project) == tree(plain)


def test_uvx_records_the_published_repository(workshop: Workshop, built: Built, version: str, tmp_path: Path) -> None:
    project = workshop.make_project(tmp_path / "work", "uvx", "--quiet", "--from", built.wheel, "aiapi")
    assert recorded(project) == (CANONICAL, version)


@pytest.mark.parametrize("with_pip", [False, True], ids=["uv", "pip"])
def test_an_installation_from_git_records_that_repository(
    workshop: Workshop, version: str, tmp_path: Path, *, with_pip: bool
) -> None:
    forge = workshop.source(tmp_path / "forge.git", bare=True)
    workshop.install(f"git+{forge.as_uri()}", with_pip=with_pip)
    aside = forge.rename(tmp_path / "aside")  # the bundle alone is enough to make a project
    project = workshop.make_project(tmp_path / "work")
    assert recorded(project) == (forge.as_uri(), version)
    aside.rename(forge)
    workshop.publish(forge)
    workshop.update_with_copier(project)
    assert is_current(project)


@pytest.mark.parametrize("how", ["uv", "pip", "editable"])
def test_an_installation_from_a_checkout_records_its_folder(
    workshop: Workshop, version: str, tmp_path: Path, how: str
) -> None:
    clone = workshop.source(tmp_path / "clone")
    workshop.install(*(["--editable"] if how == "editable" else []), clone, with_pip=how == "pip")
    project = workshop.make_project(tmp_path / "work")
    assert recorded(project) == (str(clone), version)
    workshop.publish(clone)
    workshop.update_with_copier(project)
    assert is_current(project)


def test_a_folder_that_is_gone_since_the_installation_is_replaced_by_the_published_repository(
    workshop: Workshop, version: str, tmp_path: Path
) -> None:
    clone = workshop.source(tmp_path / "clone")
    workshop.install(clone)
    shutil.rmtree(clone)
    made = workshop.run(workshop.program("aiapi"), "new", "demo", "--defaults", "--no-lock", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    assert "if its commit is not published there, updates will not find it" in made.stderr
    assert recorded(tmp_path / "demo") == (CANONICAL, version)


def test_plain_copier_alone_makes_and_updates_a_project(workshop: Workshop, tmp_path: Path) -> None:
    forge = workshop.source(tmp_path / "forge.git", bare=True)
    project = tmp_path / "demo"
    answers = ("--defaults", "--data", "project_name=demo")
    made = workshop.run(workshop.program("copier"), "copy", *answers, forge.as_uri(), project, cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    assert recorded(project)[0] == forge.as_uri()
    for command in (("init", "--quiet"), ("add", "--all"), ("commit", "--quiet", "--message", "Start")):
        git(project, *command)
    workshop.publish(forge)
    workshop.update_with_copier(project)
    assert is_current(project)


def test_a_project_has_the_same_files_from_the_bundle_as_from_the_checkout(
    workshop: Workshop, built: Built, tmp_path: Path
) -> None:
    workshop.install(built.wheel)
    from_bundle = workshop.make_project(tmp_path / "bundle")
    workshop.install("--editable", workshop.source(tmp_path / "clone"))
    from_checkout = workshop.make_project(tmp_path / "checkout")
    trees = [git(each, "ls-tree", "-r", "HEAD").splitlines() for each in (from_bundle, from_checkout)]
    assert [line.split("\t")[1] for line in set(trees[0]) ^ set(trees[1])] == [".copier-answers.yml"] * 2


def test_a_broken_bundle_is_named_and_leaves_nothing(workshop: Workshop, built: Built, tmp_path: Path) -> None:
    workshop.install(built.wheel)
    (workshop.package / "template.bundle").unlink()
    made = workshop.run(workshop.program("aiapi"), "new", "demo", "--defaults", "--no-lock", cwd=tmp_path)
    assert made.returncode == 1
    assert "This installation of aiapi is damaged: it has lost its template." in made.stderr
    assert list(tmp_path.iterdir()) == []
