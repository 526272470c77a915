"""docs/updating.md shows what its commands print."""

from pathlib import Path

from walkthrough import DOCUMENT, printed


def test_the_document_shows_what_its_commands_print(tmp_path: Path) -> None:
    shown = DOCUMENT.read_text()
    assert "<<<<<<< before updating" in shown
    assert printed(shown, tmp_path) == shown, "write it anew: uv run poe docs"
