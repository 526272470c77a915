"""docs/updating.md shows the present output of its commands."""

from pathlib import Path

from walkthrough import DOCUMENT, printed


def test_the_document_shows_what_its_commands_print(tmp_path: Path) -> None:
    shown = DOCUMENT.read_text()
    assert "<<<<<<< before updating" in shown
    assert printed(shown, tmp_path) == shown, "to update it: uv run poe docs"
