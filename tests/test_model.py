"""The embedding model that the template ships."""

from foundry.__main__ import SHIPPED, SIZE_LIMIT
from foundry.manifest import problems


def test_its_files_are_the_recorded_ones_and_under_five_megabytes() -> None:
    assert SIZE_LIMIT == 5_000_000
    assert problems(SHIPPED, size_limit=SIZE_LIMIT) == []


def test_its_licences_and_its_card_come_with_it() -> None:
    for name in ("LICENSE", "NOTICE", "model-card.md"):
        assert (SHIPPED / name).stat().st_size > 0
