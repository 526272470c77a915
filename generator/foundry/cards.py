"""The measured part of a model's card, between two marks."""

from pathlib import Path

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


def renew(card: Path, measured: str) -> None:
    """Put what was measured between the marks of ``card``."""
    before, _, rest = card.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    card.write_text(f"{before}{BEGIN}\n{measured}\n{END}{after}", encoding="utf-8")
