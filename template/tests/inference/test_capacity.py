"""Tests of how many sessions and threads a model gets."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from time import sleep

import pytest

from app.inference.capacity import BatchingSettings, Workload, available_cores, open_capacity
from app.inference.ports import ModelSession, Tensor, TensorSpec


@dataclass
class Session:
    """A session that records its number of threads."""

    threads: int
    provider: str = "CPUExecutionProvider"
    output_names: list[str] = field(default_factory=list)
    inputs: Sequence[TensorSpec] = ()
    outputs: Sequence[TensorSpec] = ()

    def run(self, inputs: Mapping[str, Tensor]) -> list[Tensor]:
        """Return nothing."""
        return []


@dataclass
class Opener:
    """Opens sessions and counts the open ones, now and at most."""

    provider: str = "CPUExecutionProvider"
    open: int = 0
    most: int = 0

    def __call__(self, threads: int) -> AbstractAsyncContextManager[ModelSession]:
        """Open a session."""
        return self._opened(threads)

    @asynccontextmanager
    async def _opened(self, threads: int) -> AsyncIterator[ModelSession]:
        self.open += 1
        self.most = max(self.most, self.open)
        yield Session(threads, self.provider)
        self.open -= 1


@dataclass
class Spread(Session):
    """A session on three devices."""

    devices: int = 3


@pytest.mark.parametrize(("lanes", "wanted"), [(0, 3), (5, 5)])
async def test_a_model_on_several_devices_is_opened_once_and_has_a_lane_for_each(lanes: int, wanted: int) -> None:
    opened: list[Session] = []

    @asynccontextmanager
    async def open_session(threads: int) -> AsyncIterator[ModelSession]:
        opened.append(Spread(threads, "CUDAExecutionProvider"))
        yield opened[-1]

    async with open_capacity(BatchingSettings(lanes=lanes), open_session, work(), cores=4) as capacity:
        assert list(capacity.sessions) == opened * wanted
        assert capacity.curve.lanes == wanted


def work(seconds: float = 0) -> Workload:
    return Workload(lambda *_: sleep(seconds), [1, 2, 4])


@pytest.mark.parametrize(
    ("lanes", "cores", "sessions", "threads"), [(1, 4, 1, 4), (2, 4, 2, 2), (4, 4, 1, 1), (3, 2, 1, 1), (0, 4, 1, 4)]
)
async def test_lanes_that_are_asked_for_share_the_cores(lanes: int, cores: int, sessions: int, threads: int) -> None:
    opener = Opener()
    settings = BatchingSettings(lanes=lanes, measure_seconds=0)
    async with open_capacity(settings, opener, work(), cores=cores) as capacity:
        assert len(capacity.sessions) == capacity.curve.lanes == max(1, lanes)
        assert opener.open == sessions
        assert {session.threads for session in capacity.sessions if isinstance(session, Session)} == {threads}
    assert opener.open == 0


@pytest.mark.parametrize(("provider", "lanes"), [("CPUExecutionProvider", 2), ("CUDAExecutionProvider", 1)])
async def test_a_model_that_gains_nothing_from_threads_gets_lanes_on_a_cpu(provider: str, lanes: int) -> None:
    opener = Opener(provider)
    async with open_capacity(BatchingSettings(measure_seconds=2), opener, work(seconds=0.02), cores=2) as capacity:
        assert capacity.curve.lanes == len(capacity.sessions) == lanes
        assert opener.open == 1
    assert opener.open == 0


@pytest.mark.parametrize(
    ("provider", "first", "batch", "row"),
    [
        ("CPUExecutionProvider", 0, 0.011, 0.0009),
        ("CPUExecutionProvider", 0, 0.03, 0.003),
        ("CUDAExecutionProvider", 1, 0.003, 0.00005),
    ],
    ids=["slow", "slower", "first-run"],
)
async def test_the_limit_of_a_slow_model_is_what_pays_not_what_there_was_time_to_measure(
    provider: str, first: float, batch: float, row: float
) -> None:
    to_come = iter([first])

    def probe(_: ModelSession, rows: int) -> None:
        sleep(next(to_come, 0) + batch + row * rows)

    sizes = [1, 2, 4, 8, 16, 32, 64]
    async with open_capacity(BatchingSettings(), Opener(provider), Workload(probe, sizes), cores=2) as capacity:
        limit = capacity.curve.limit
    assert limit / (batch + row * limit) >= 0.9 * max(size / (batch + row * size) for size in sizes)


@pytest.mark.parametrize(("four", "two", "chosen"), [(0.12, 0.1, 4), (0.19, 0.09, 1), (0.19, 0.07, 2)])
async def test_more_lanes_must_be_worth_a_slower_single_request(four: float, two: float, chosen: int) -> None:
    seconds = {4: 0.05, 2: two, 1: four}  # of a batch, by the threads of its lane

    def probe(session: ModelSession, _units: int) -> None:
        assert isinstance(session, Session)
        sleep(seconds[session.threads])

    async with open_capacity(BatchingSettings(measure_seconds=9), Opener(), Workload(probe, [1]), cores=4) as capacity:
        assert capacity.curve.lanes == chosen


async def test_measuring_never_takes_the_memory_of_two_copies() -> None:
    opener = Opener()
    async with open_capacity(BatchingSettings(measure_seconds=0.1), opener, work(), cores=8):
        assert opener.most == 2  # as two lanes of four threads need; eight lanes of one share a copy


def test_this_machine_has_cores() -> None:
    assert available_cores() >= 1
