"""Ctrl-C and SIGTERM at any moment: exit code 130 and nothing left behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cli.command import git, interrupt

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cli.command import Command, Terminal

# A program that stops at one of its verbs until it is killed, and says so.
STOP = 'for word in "$@"; do [ "$word" = {verb} ] && touch {mark} && exec sleep 300; done; exec "$REAL" "$@"'


@pytest.mark.parametrize("by", ["Ctrl-C", "SIGTERM"])
@pytest.mark.parametrize("stage", ["git clone", "git checkout", "uv lock", "git commit"])
def test_nothing_is_left_at_any_stage(
    aiapi: Command, stand_in: Callable[[str, str], str], tmp_path: Path, by: str, stage: str
) -> None:
    mark = tmp_path / "mark"
    program, verb = stage.split()
    path = stand_in(program, STOP.format(verb=verb, mark=mark))
    process = aiapi.start("new", "demo", "--defaults", PATH=path)
    _, stderr = interrupt(process, by, mark)
    assert process.returncode == 130, stderr
    assert stderr.splitlines()[-1] == "Interrupted: nothing was left behind."
    assert aiapi.leftovers() == []


@pytest.mark.parametrize("keys", ["\x03", "\x04"], ids=["Ctrl-C", "Ctrl-D"])
def test_leaving_a_prompt_leaves_nothing(terminal: Callable[..., Terminal], aiapi: Command, keys: str) -> None:
    screen = terminal("new", "demo")
    screen.await_text("One-sentence description")
    screen.press("\r")
    screen.await_text("Owner (person or team)")
    screen.press("\x15" + keys if keys == "\x03" else "\x01\x0b" + keys)
    code, shown = screen.end()
    assert code == 130, shown
    assert "nothing was left behind" in shown
    assert "Traceback" not in shown
    assert aiapi.leftovers() == []


def test_a_template_that_does_not_render_leaves_nothing(
    checkout: Path, command_from: Callable[[Path], Command]
) -> None:
    (checkout / "template/broken.md.jinja").write_text("fine\n{{ nobody_knows }}\n")
    git(checkout, "add", "--all")
    git(checkout, "commit", "--quiet", "--message", "broken")
    aiapi = command_from(checkout)
    result = aiapi("new", "demo", "--defaults")
    assert result.returncode == 1
    assert "nobody_knows" in result.stderr
    assert "Traceback" not in result.stderr
    assert aiapi.leftovers() == []
