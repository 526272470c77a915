"""The arithmetic of sliding-window quotas."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.usage.quotas import Level, Quota

AMOUNTS = st.integers(0, 1000)


def level(current: int, previous: int, elapsed: float, limit: int = 100) -> Level:
    return Level(Quota("tokens", limit), current, previous, elapsed)


def later(now: Level, seconds: float) -> Level:
    """Return the same quota after `seconds` without further use."""
    minutes = now.elapsed + seconds / now.window_seconds
    previous = {0: now.previous, 1: now.current}.get(int(minutes), 0)
    return replace(now, current=now.current if minutes < 1 else 0, previous=previous, elapsed=minutes % 1)


@pytest.mark.parametrize(
    ("now", "remaining"),
    [(level(0, 0, 0.5), 100), (level(30, 0, 0.5), 70), (level(30, 40, 0.5), 50), (level(90, 40, 0.5), 0)],
)
def test_what_is_left_counts_the_part_of_the_minute_before_that_is_less_than_a_minute_ago(
    now: Level, remaining: int
) -> None:
    assert now.remaining == remaining


@given(AMOUNTS, AMOUNTS, st.floats(0, 0.999), st.integers(1, 1000), st.data())
def test_a_caller_who_returns_at_the_given_time_gets_the_amount_asked_for(
    current: int, previous: int, elapsed: float, limit: int, data: st.DataObject
) -> None:
    now = level(current, previous, elapsed, limit)
    amount = data.draw(st.integers(0, limit))
    seconds = now.seconds_until(amount)
    assert 0 <= seconds <= 2 * now.window_seconds
    assert later(now, seconds + 0.001).used + amount <= limit + 0.001


@given(AMOUNTS, AMOUNTS, st.floats(0, 0.999))
def test_after_the_reset_all_of_it_is_free(current: int, previous: int, elapsed: float) -> None:
    now = level(current, previous, elapsed)
    assert later(now, now.seconds_until_reset + 0.001).used <= 0.001
