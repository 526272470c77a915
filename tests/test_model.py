"""The models that the template ships."""

from pathlib import Path

import pytest

from foundry.__main__ import DETECTOR, DETECTOR_SIZE_LIMIT, SHIPPED, SIZE_LIMIT
from foundry.manifest import problems


def test_their_files_are_the_recorded_ones_and_stay_small() -> None:
    assert (SIZE_LIMIT, DETECTOR_SIZE_LIMIT) == (5_000_000, 1_000_000)
    assert problems(SHIPPED, size_limit=SIZE_LIMIT) == []
    assert problems(DETECTOR, size_limit=DETECTOR_SIZE_LIMIT) == []


@pytest.mark.parametrize(
    "path", [SHIPPED / "NOTICE", *(m / n for m in (SHIPPED, DETECTOR) for n in ("LICENSE", "model-card.md"))]
)
def test_their_licences_and_cards_come_with_them(path: Path) -> None:
    assert path.stat().st_size > 0


def test_the_card_of_the_detector_says_how_well_it_finds() -> None:
    assert "| **all** | 0." in (DETECTOR / "model-card.md").read_text()
