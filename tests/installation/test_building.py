"""What the packages hold, and what they can and cannot be built from."""

from __future__ import annotations

import shutil
import tarfile
import zipfile
from typing import TYPE_CHECKING

import pytest

from cli.command import git
from installation.workshop import RELEASED, heads

if TYPE_CHECKING:
    from pathlib import Path

    from installation.conftest import Built
    from installation.workshop import Workshop

BUNDLE = "aiapi/template.bundle"


def bundle_in(wheel: Path, folder: Path) -> Path:
    """Unpack the bundle of a wheel into a new folder."""
    with zipfile.ZipFile(wheel) as archive:
        return folder / archive.extract(BUNDLE, folder)


@pytest.fixture
def bundle_of(workshop: Workshop, tmp_path: Path) -> Path:
    """The bundle of a wheel that is built from the checkout itself."""
    out = tmp_path / "from-checkout"
    done = workshop.build(workshop.checkout, out, "--wheel")
    assert done.returncode == 0, done.stderr
    return bundle_in(next(out.glob("*.whl")), out)


def test_the_wheel_carries_the_bundle_and_the_questions_and_no_file_of_the_template(
    workshop: Workshop, built: Built
) -> None:
    with zipfile.ZipFile(built.wheel) as archive:
        names = archive.namelist()
        questions = archive.read("aiapi/copier.yml")
    packaged = {path.name for path in (workshop.checkout / "generator/aiapi").iterdir()}
    assert {name for name in names if ".dist-info/" not in name} == {
        *(f"aiapi/{name}" for name in packaged),
        "aiapi/copier.yml",
        BUNDLE,
    }
    assert len(names) == len(set(names))
    assert questions == (workshop.checkout / "copier.yml").read_bytes()


def test_a_wheel_from_the_sdist_carries_the_same_bundle_as_one_from_the_checkout(
    workshop: Workshop, built: Built, bundle_of: Path, tmp_path: Path
) -> None:
    from_sdist = bundle_in(built.wheel, tmp_path / "from-sdist")
    assert from_sdist.read_bytes() == bundle_of.read_bytes()
    head, release = (git(workshop.checkout, "rev-parse", name) for name in ("HEAD", f"{RELEASED}^{{commit}}"))
    assert heads(from_sdist)["HEAD"] == head
    whole = tmp_path / "whole"
    git(tmp_path, "clone", "--quiet", str(from_sdist), str(whole))
    assert git(whole, "rev-parse", f"{RELEASED}^{{commit}}") == release


def test_a_build_leaves_nothing_in_the_checkout_but_bytecode(workshop: Workshop, built: Built) -> None:
    assert built.wheel.is_file()
    left = git(workshop.checkout, "status", "--porcelain", "--ignored").splitlines()
    assert set(left) <= {"!! generator/__pycache__/"}


def test_a_clone_without_tags_gives_the_same_bundle_whatever_git_is_set_to(
    workshop: Workshop, bundle_of: Path, tmp_path: Path
) -> None:
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", "--no-tags", workshop.checkout.as_uri(), str(clone))
    assert git(clone, "tag") == ""
    settings = workshop.home / ".gitconfig"
    before = settings.read_text()
    settings.write_text(f"{before}[safe]\nbareRepository = explicit\n[tag]\ngpgSign = true\n")
    done = workshop.build(clone, tmp_path / "out", "--wheel")
    settings.write_text(before)
    assert done.returncode == 0, done.stderr
    bundle = bundle_in(next((tmp_path / "out").glob("*.whl")), tmp_path)
    assert bundle.read_bytes() == bundle_of.read_bytes()
    assert git(clone, "tag") == ""


def test_a_worktree_gives_the_same_bundle(workshop: Workshop, bundle_of: Path, tmp_path: Path) -> None:
    clone, worktree = workshop.source(tmp_path / "clone"), tmp_path / "worktree"
    git(clone, "worktree", "add", "--quiet", str(worktree))
    assert workshop.build(worktree, tmp_path / "out", "--wheel").returncode == 0
    assert bundle_in(next((tmp_path / "out").glob("*.whl")), tmp_path).read_bytes() == bundle_of.read_bytes()


def test_a_partial_clone_gives_a_complete_bundle(workshop: Workshop, tmp_path: Path) -> None:
    source, clone, whole = (tmp_path / name for name in ("source", "clone", "whole"))
    workshop.source(source, bare=True)
    workshop.publish(source)
    git(source, "update-ref", "refs/heads/main", "refs/heads/newer")
    git(tmp_path, "clone", "--quiet", "--filter=blob:none", source.as_uri(), str(clone))
    missing = git(clone, "rev-list", "--objects", "--missing=print", "HEAD").count("\n?")
    assert missing, "the clone is not partial, so this shows nothing"
    assert workshop.build(clone, tmp_path / "out", "--wheel").returncode == 0
    git(tmp_path, "clone", "--quiet", str(bundle_in(next((tmp_path / "out").glob("*.whl")), tmp_path)), str(whole))
    git(whole, "fsck", "--full", "--strict")
    git(whole, "checkout", "--quiet", f"{RELEASED}^{{commit}}")
    assert git(whole, "rev-list", "--objects", "--all", "HEAD")


def test_a_partial_clone_whose_remote_is_gone_is_refused(workshop: Workshop, tmp_path: Path) -> None:
    source, clone = workshop.source(tmp_path / "source", bare=True), tmp_path / "clone"
    workshop.publish(source)
    git(source, "update-ref", "refs/heads/main", "refs/heads/newer")
    git(tmp_path, "clone", "--quiet", "--filter=blob:none", source.as_uri(), str(clone))
    shutil.rmtree(source)
    refused = workshop.build(clone, tmp_path / "out", "--wheel")
    assert refused.returncode != 0
    assert "is a partial clone, and what it lacks could not be fetched" in refused.stderr


def test_a_shallow_clone_is_refused_with_the_remedy_and_can_be_installed_editable(
    workshop: Workshop, tmp_path: Path
) -> None:
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", "--depth=1", workshop.checkout.as_uri(), str(clone))
    refused = workshop.build(clone, tmp_path / "out")
    assert refused.returncode != 0
    assert "is a shallow clone. Fetch the rest of its history first: git fetch --unshallow --tags" in refused.stderr
    workshop.install("--editable", clone)


def test_a_source_tree_without_history_is_refused_and_says_what_to_build_from(
    workshop: Workshop, tmp_path: Path
) -> None:
    tree = workshop.source(tmp_path / "tree")
    shutil.rmtree(tree / ".git")
    refused = workshop.build(tree, tmp_path / "out", "--wheel")
    assert refused.returncode != 0
    assert "neither a git checkout nor an sdist" in refused.stderr
    assert "Build from a full git clone." in refused.stderr


def test_an_sdist_inside_another_repository_still_gives_its_own_bundle(
    workshop: Workshop, built: Built, bundle_of: Path, tmp_path: Path
) -> None:
    outer = tmp_path / "outer"
    outer.mkdir()
    git(outer, "init", "--quiet")
    with tarfile.open(built.sdist) as archive:
        archive.extractall(outer, filter="data")
    assert workshop.build(next(outer.glob("aiapi-*")), tmp_path / "out", "--wheel").returncode == 0
    assert bundle_in(next((tmp_path / "out").glob("*.whl")), tmp_path).read_bytes() == bundle_of.read_bytes()


def test_a_tag_that_contradicts_the_list_of_releases_is_refused(workshop: Workshop, tmp_path: Path) -> None:
    clone = workshop.source(tmp_path / "clone")
    git(clone, "tag", "--force", "--annotate", "--message", "wrong", RELEASED, "HEAD")
    refused = workshop.build(clone, tmp_path / "out", "--wheel")
    assert refused.returncode != 0
    assert f"the tag {RELEASED} is at" in refused.stderr
    assert f"git tag --delete {RELEASED}" in refused.stderr


def test_uncommitted_changes_of_the_template_are_left_out_with_a_warning(
    workshop: Workshop, bundle_of: Path, tmp_path: Path
) -> None:
    clone = workshop.source(tmp_path / "clone")
    (clone / "template/draft.md").write_text("not yet\n")
    (clone / "copier.yml").write_text("draft: {type: str}\n")
    done = workshop.build(clone, tmp_path / "out", "--wheel")
    assert done.returncode == 0, done.stderr
    assert "2 uncommitted changes of the template left out" in done.stderr
    wheel = next((tmp_path / "out").glob("*.whl"))
    assert bundle_in(wheel, tmp_path).read_bytes() == bundle_of.read_bytes()
    with zipfile.ZipFile(wheel) as archive:
        assert archive.read("aiapi/copier.yml") == (workshop.checkout / "copier.yml").read_bytes()
