"""Tests of latency curves and of the forecasts based on them."""

from threading import Barrier
from time import sleep

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.inference.forecast import MOST_CAUTION, Forecast
from app.inference.latency_curve import LatencyCurve, measure_curve

TIMES = st.lists(st.floats(1e-6, 10), min_size=1, max_size=12)


@given(TIMES, st.integers(1, 10_000), st.integers(1, 10_000))
def test_larger_batches_never_take_less_time(times: list[float], one: int, other: int) -> None:
    curve = LatencyCurve.fit([(2**power, seconds) for power, seconds in enumerate(times)])
    assert curve(min(one, other)) <= curve(max(one, other)) * (1 + 1e-9)
    assert min(times) <= curve(1)
    assert curve.limit in curve.units


def test_between_measurements_it_is_a_straight_line_and_beyond_them_in_proportion() -> None:
    curve = LatencyCurve.fit([(10, 1.0), (20, 3.0)])
    assert [curve(units) for units in (1, 10, 15, 20, 40)] == [1, 1, 2, 3, 6]


@pytest.mark.parametrize(
    ("measured", "limit"),
    [
        ([(1, 1.0), (2, 1.0), (4, 1.0)], 4),
        ([(1, 1.0), (2, 2.0), (4, 4.0)], 1),
        ([(1, 1.0), (2, 1.2), (4, 2.35), (8, 4.7)], 2),
        ([(1, 1.0), (2, 1.2), (4, 2.0), (8, 8.0)], 4),
        ([(1, 0.001), (2, 0.004), (4, 0.007), (8, 0.015)], 4),
    ],
)
def test_the_limit_is_where_more_no_longer_pays(measured: list[tuple[int, float]], limit: int) -> None:
    assert LatencyCurve.fit(measured).limit == limit


def test_a_backlog_is_shared_by_the_lanes() -> None:
    assert LatencyCurve.assumed(10, 2.0, lanes=4).backlog(100) == 5


def test_lanes_are_measured_together_and_what_a_first_run_takes_is_not_counted() -> None:
    together, first = Barrier(2), iter([1.0, 1.0])

    def probe(_: int) -> None:
        together.wait(10)
        sleep(next(first, 0))

    curve = measure_curve([probe] * 2, [1, 2, 4], seconds=0.1)
    assert (curve.lanes, curve.units) == (2, (1, 2, 4))
    assert curve(4) < 0.1


def test_when_the_time_is_up_larger_batches_are_reckoned_and_never_run() -> None:
    ran: set[int] = set()

    def probe(rows: int) -> None:
        ran.add(rows)
        sleep(0.05 + 0.01 * rows)

    curve = measure_curve([probe], [1, 2, 4, 8, 16, 32, 64], seconds=0)
    assert ran == {1, 2}
    assert curve.units == (1, 2, 4, 8, 16, 32, 64)
    assert curve(64) == pytest.approx(0.69, rel=0.2)


def test_no_batch_takes_longer_than_it_may_but_the_smallest() -> None:
    sizes = [1, 2, 4, 8, 16, 32, 64]
    assert measure_curve([lambda rows: sleep(0.02 + 0.002 * rows)], sizes, seconds=0, longest=0.06).limit == 16
    assert measure_curve([lambda _: sleep(0.02)], sizes, seconds=0, longest=0.01).units == (1,)


def test_forecasts_follow_what_batches_really_take() -> None:
    forecast = Forecast(LatencyCurve.assumed(10, 1.0))
    for _ in range(100):
        forecast.learn(10, 3.0)
    assert forecast.backlog(100) == pytest.approx(30, rel=0.01)


def test_a_batch_that_is_overdue_is_expected_to_take_as_long_again() -> None:
    forecast = Forecast(LatencyCurve.assumed(10, 1.0))
    assert forecast.running(0) == 0
    forecast.began(0, 10, now=0)
    assert [forecast.running(now) for now in (0.25, 1, 60)] == [0.75, 0, 59]
    forecast.ended(0)
    assert forecast.running(60) == 0


def test_waits_are_reckoned_with_longer_until_what_is_admitted_comes_in_time() -> None:
    forecast = Forecast(LatencyCurve.assumed(10, 1.0))
    believed = forecast.wait(100, 0.0)
    for _ in range(5):
        forecast.learn_outcome(in_time=False)
    assert forecast.wait(100, 0.0) > 1.3 * believed
    for _ in range(10_000):
        forecast.learn_outcome(in_time=True)
    assert forecast.wait(100, 0.0) == believed


def test_where_more_is_asked_than_can_be_done_the_queue_is_half_as_long() -> None:
    forecast = Forecast(LatencyCurve.assumed(10, 1.0))
    believed = forecast.wait(100, 0.0)
    for _ in range(1000):
        forecast.learn_refusal()
        forecast.learn_outcome(in_time=True)
    assert forecast.wait(100, 0.0) == pytest.approx(2 * believed, rel=0.01)
    for _ in range(1000):
        forecast.learn_refusal()
        for _ in range(50):
            forecast.learn_outcome(in_time=True)
    assert forecast.wait(100, 0.0) == pytest.approx(believed, rel=0.02)


def test_refusals_do_not_take_back_what_was_learned_of_late_answers() -> None:
    forecast = Forecast(LatencyCurve.assumed(10, 1.0))
    for _ in range(100):
        forecast.learn_outcome(in_time=False)
    forecast.learn_refusal()
    assert forecast.caution == MOST_CAUTION


def test_waits_are_never_reckoned_with_so_long_that_nothing_is_admitted() -> None:
    forecast = Forecast(LatencyCurve.assumed(10, 1.0))
    for _ in range(10_000):
        forecast.learn_outcome(in_time=False)
    assert forecast.wait(100, 0.0) == MOST_CAUTION * forecast.backlog(100)
