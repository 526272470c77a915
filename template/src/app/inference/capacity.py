"""Measurements that choose how many batches run concurrently and how many threads each may use."""

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
from app.inference.memory import trim_memory
from app.inference.ports import ModelSession, SpreadModel

log = structlog.get_logger(__name__)

CPU = "CPUExecutionProvider"
CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")

# Weight of a single request's latency against throughput, as an exponent: if one request takes four times as long,
# throughput must be 1.4 times as high.
ALONE_WEIGHT = 0.25
# Factor of throughput that lanes must gain if each needs its own copy of the model.
COPIES_WORTH = 1.2
# A batch may take this fraction of the deadline, because a request may first wait for a running batch.
LONGEST_BATCH = 0.1
# Latency assumed when measuring is skipped, until real batches correct it.
ASSUMED_SECONDS = 0.01

OpenSession = Callable[[int], AbstractAsyncContextManager[ModelSession]]
"""Opens a session whose runs may use this many threads."""


class BatchingSettings(BaseModel):
    """Settings for batching requests to a model."""

    model_config = ConfigDict(extra="forbid")

    deadline: float = Field(default=30.0, gt=0, description="seconds within which a request must be answered")
    shutdown_grace: float = Field(default=20.0, ge=0, description="seconds to finish queued work on shutdown")
    lanes: int = Field(default=0, ge=0, le=64, description="batches that run concurrently; 0 measures")
    measure_seconds: float = Field(default=0.6, ge=0, le=60, description="time for measuring at startup; 0 skips it")


@dataclass(frozen=True, slots=True)
class Workload:
    """Synthetic load for measuring a model.

    Attributes:
        probe: runs a batch of the given number of units on a session.
        sizes: batch sizes to try, in units, ascending.
    """

    probe: Callable[[ModelSession, int], object]
    sizes: Sequence[int]


def doubling(first: int, last: int) -> Iterator[int]:
    """Yield `first`, doubled until it reaches `last`, then `last`."""
    while first < last:
        yield first
        first *= 2
    yield last


@dataclass(frozen=True, slots=True)
class Capacity:
    """The sessions of a model's lanes, which may share one session, and their measured latency."""

    sessions: Sequence[ModelSession]
    curve: LatencyCurve


def available_cores() -> int:
    """Return the number of cores that this process may use, limited by CPU affinity and the container's quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = CGROUP_QUOTA.read_text().split()
        return max(1, min(cores, int(quota) // int(period)))
    except (OSError, ValueError):  # no control group, or "max"
        return cores


def threads_of(lanes: int, cores: int) -> int:
    """Return the number of threads per lane, at least 1."""
    return max(1, cores // lanes)


@asynccontextmanager
async def open_capacity(
    settings: BatchingSettings, open_session: OpenSession, workload: Workload, *, cores: int
) -> AsyncIterator[Capacity]:
    """Open sessions for the configured number of lanes, or for the number that measures best on these cores.

    Raises:
        StartupError: the model cannot be opened or does not run.
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
            # Close the first session: there may not be enough memory for two copies of the model.
            sessions = []
            await stack.aclose()
            curves = [curve]
            for lanes in others:
                await asyncio.to_thread(trim_memory)
                curves.append(await _measure_lanes(partial(_open_sessions, open_session, lanes, cores), measure))
            curve = max(curves, key=partial(_worth, cores=cores))
            await asyncio.to_thread(trim_memory)
            sessions = await stack.enter_async_context(_open_sessions(open_session, curve.lanes, cores))
            await asyncio.to_thread(_warm, sessions, workload, curve.limit)
        await asyncio.to_thread(trim_memory)
        log.info("model_session.measured", lanes=curve.lanes, limit=curve.limit, throughput=round(curve.throughput))
        yield Capacity(sessions, curve)


def _worth(curve: LatencyCurve, cores: int) -> float:
    """Return a score from throughput, the latency of a single request and the memory for copies of the model."""
    alone: float = curve(1) ** ALONE_WEIGHT
    return curve.throughput / alone / (COPIES_WORTH if _copies(curve.lanes, cores) > 1 else 1)


def _copies(lanes: int, cores: int) -> int:
    # Single-threaded runs do not compete for a session's thread pool, so that lanes can share one session.
    return 1 if threads_of(lanes, cores) == 1 else lanes


@asynccontextmanager
async def _open_sessions(open_session: OpenSession, lanes: int, cores: int) -> AsyncIterator[list[ModelSession]]:
    threads, count = threads_of(lanes, cores), _copies(lanes, cores)
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(open_session(threads))
        if isinstance(first, SpreadModel):
            # The session already has a copy on every device; devices run concurrently.
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
