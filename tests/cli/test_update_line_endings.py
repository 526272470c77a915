"""`aiapi update` in a project whose attributes make git store other line endings than the working tree has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cli.command import git
from cli.project_scenes import commit, run_json
from cli.update_scenes import LINES, changed, edit

if TYPE_CHECKING:
    from cli.command import Command


def attribute(demo: Command, line: str) -> None:
    """Add a line to the project's attributes, and let git check everything out accordingly."""
    with (demo.folder / ".gitattributes").open("a") as attributes:
        attributes.write(f"{line}\n")
    git(demo.folder, "add", "--renormalize", ".")
    commit(demo.folder, "attributes")
    git(demo.folder, "rm", "--quiet", "-r", "--cached", ".")
    git(demo.folder, "reset", "--hard", "--quiet")


@pytest.mark.parametrize("line", ["* text=auto eol=crlf", "* text=auto", "*.txt text eol=crlf"])
def test_a_project_without_edits_has_nothing_to_decide(demo: Command, line: str) -> None:
    attribute(demo, line)
    code, said = run_json(demo, "update", "--no-lock")
    assert (code, said["unresolved"]) == (0, [])
    kinds = {change["kind"] for change in said["changes"]}
    assert kinds <= {"added", "updated", "deleted"}, said["changes"]
    assert git(demo.folder, "diff", "--name-only") == ""
    ends = b"\r\n" if "crlf" in line else b"\n"
    assert (demo.folder / "plain.txt").read_bytes() == changed(LINES, 3).encode().replace(b"\n", ends)


def test_an_edit_is_merged(demo: Command) -> None:
    attribute(demo, "* text=auto eol=crlf")
    edit(demo, "same.txt", 5)
    edit(demo, "elsewhere.txt", 25)
    edit(demo, "moved/edited.txt", 3)
    edit(demo, "deleted/edited.txt", 2)
    commit(demo.folder)
    code, said = run_json(demo, "update", "--no-lock")
    told_of = {change["path"]: change["kind"] for change in said["changes"]}
    assert (code, said["unresolved"]) == (1, ["deleted/edited.txt.yours", "same.txt"])
    assert (told_of["same.txt"], told_of["elsewhere.txt"]) == ("conflict", "merged")
    assert told_of["moved/edited.txt"] == "renamed with your edits"
    assert git(demo.folder, "status", "--short", "same.txt") == "UU same.txt"
    both = changed(changed(LINES, 3), 25, "changed by me")
    assert (demo.folder / "elsewhere.txt").read_bytes() == both.encode().replace(b"\n", b"\r\n")
