"""Choosing, by measuring, how many batches run at once and how many threads each may use."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import structlog
from pydantic import BaseModel, ConfigDict, Field

from app.inference.latency_curve import LatencyCurve, measure_curve
from app.inference.memory import give_back
from app.inference.ports import ModelSession, SpreadModel

log = structlog.get_logger(__name__)

CPU = "CPUExecutionProvider"
CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")

# How much the speed of a request alone counts beside the throughput of many, as an exponent: lanes that take four times
# as long for one must do 1.4 times as much.
ALONE_WEIGHT = 0.25
# How many times as much lanes must do where each has a copy of the model.
COPIES_WORTH = 1.2
# A batch may take this share of the deadline, as a request waits for one that runs before its own.
LONGEST_BATCH = 0.1
# What stands for a measurement that was skipped, until batches have shown how long they take.
ASSUMED_SECONDS = 0.01

OpenSession = Callable[[int], AbstractAsyncContextManager[ModelSession]]
"""Opens a session whose runs may use so many threads."""


class BatchingSettings(BaseModel):
    """How a model is shared by the requests that need it."""

    model_config = ConfigDict(extra="forbid")

    deadline: float = Field(default=30.0, gt=0, description="seconds in which a request must have its answer")
    shutdown_grace: float = Field(default=20.0, ge=0, description="seconds for what is queued at shutdown")
    lanes: int = Field(default=0, ge=0, le=64, description="batches that run at the same time; 0 measures")
    measure_seconds: float = Field(default=0.6, ge=0, le=60, description="time for measuring at start-up; 0 skips it")


@dataclass(frozen=True, slots=True)
class Workload:
    """What a model is measured with.

    Attributes:
        probe: runs a batch of so many units on a session.
        sizes: units to try, ascending.
    """

    probe: Callable[[ModelSession, int], object]
    sizes: Sequence[int]


def doubling(first: int, last: int) -> Iterator[int]:
    """Give sizes to try: the first, twice as much and so on, and the last."""
    while first < last:
        yield first
        first *= 2
    yield last


@dataclass(frozen=True, slots=True)
class Capacity:
    """Sessions, one for each lane (it may be the same), and what they can do."""

    sessions: Sequence[ModelSession]
    curve: LatencyCurve


def available_cores() -> int:
    """Count the cores that this process may use: by affinity, and by a container's quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = CGROUP_QUOTA.read_text().split()
        return max(1, min(cores, int(quota) // int(period)))
    except (OSError, ValueError):  # no control group, or "max"
        return cores


def threads_of(lanes: int, cores: int) -> int:
    """Return the threads that each lane may use within so many cores."""
    return max(1, cores // lanes)


@asynccontextmanager
async def open_capacity(
    settings: BatchingSettings, open_session: OpenSession, workload: Workload, *, cores: int
) -> AsyncIterator[Capacity]:
    """Open sessions for the lanes that were asked for, or for those that do most within so many cores.

    Raises:
        StartupError: the model cannot be opened.
    """
    async with AsyncExitStack() as stack:
        first = settings.lanes or 1
        sessions = await stack.enter_async_context(_open_sessions(open_session, first, cores))
        others: list[int] = []
        if not settings.lanes and settings.measure_seconds and sessions[0].provider == CPU:
            others = sorted({lanes for lanes in (2, cores) if 1 < lanes <= cores})
        seconds = settings.measure_seconds / (1 + len(others))
        measure = partial(_measure, workload=workload, seconds=seconds, longest=LONGEST_BATCH * settings.deadline)
        curve = await asyncio.to_thread(measure, sessions)
        if others:
            # One copy of the model at a time: there may not be memory for two.
            sessions = []
            await stack.aclose()
            curves = [curve]
            for lanes in others:
                await asyncio.to_thread(give_back)
                curves.append(await _measure_lanes(partial(_open_sessions, open_session, lanes, cores), measure))
            curve = max(curves, key=partial(_worth, cores=cores))
            await asyncio.to_thread(give_back)
            sessions = await stack.enter_async_context(_open_sessions(open_session, curve.lanes, cores))
            await asyncio.to_thread(_warm, sessions, workload, curve.limit)
        await asyncio.to_thread(give_back)
        log.info("model_session.measured", lanes=curve.lanes, limit=curve.limit, throughput=round(curve.throughput))
        yield Capacity(sessions, curve)


def _worth(curve: LatencyCurve, cores: int) -> float:
    """Weigh what many callers get done, what one alone waits, and what memory that takes."""
    alone: float = curve(1) ** ALONE_WEIGHT
    return curve.throughput / alone / (COPIES_WORTH if _copies(curve.lanes, cores) > 1 else 1)


def _copies(lanes: int, cores: int) -> int:
    # Runs that use one thread each do not meet in a session's thread pool: they can share its memory.
    return 1 if threads_of(lanes, cores) == 1 else lanes


@asynccontextmanager
async def _open_sessions(open_session: OpenSession, lanes: int, cores: int) -> AsyncIterator[list[ModelSession]]:
    threads, count = threads_of(lanes, cores), _copies(lanes, cores)
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(open_session(threads))
        if isinstance(first, SpreadModel):
            # One copy is on every device already, each of which can be at work.
            yield [first] * max(lanes, first.devices)
            return
        sessions = [first, *[await stack.enter_async_context(open_session(threads)) for _ in range(count - 1)]]
        yield sessions * (lanes // count)


async def _measure_lanes(
    opening: Callable[[], AbstractAsyncContextManager[list[ModelSession]]],
    measure: Callable[[Sequence[ModelSession]], LatencyCurve],
) -> LatencyCurve:
    async with opening() as sessions:
        return await asyncio.to_thread(measure, sessions)


def _measure(sessions: Sequence[ModelSession], workload: Workload, seconds: float, longest: float) -> LatencyCurve:
    if not seconds:
        _warm(sessions, workload, workload.sizes[0])
        return LatencyCurve.assumed(workload.sizes[-1], ASSUMED_SECONDS, lanes=len(sessions))
    probes = [partial(workload.probe, session) for session in sessions]
    return measure_curve(probes, workload.sizes, seconds=seconds, longest=longest)


def _warm(sessions: Sequence[ModelSession], workload: Workload, units: int) -> None:
    for session in sessions:
        workload.probe(session, units)
