"""The backlog of unfinished jobs, as OpenTelemetry metrics."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog
from opentelemetry.metrics import CallbackOptions, Observation, get_meter

from app.cancellation import cancel_and_wait
from app.jobs.models import JobState

log = structlog.get_logger(__name__)

# Prometheus times out a complete scrape after ten seconds by default.
REFRESH_TIMEOUT = 2.0


@dataclass(frozen=True, slots=True)
class BacklogEntry:
    """The unfinished jobs of one kind and state.

    Attributes:
        jobs: their number.
        seconds: since the oldest of them became due; negative if none is due yet.
    """

    kind: str
    state: JobState
    jobs: int
    seconds: float


Count = Callable[[], Awaitable[Sequence[BacklogEntry]]]

_backlog: list[BacklogEntry] = []


async def refresh_backlog(count: Count) -> None:
    """Update the metrics with what `count` returns; report no backlog if it fails or times out."""
    try:
        async with asyncio.timeout(REFRESH_TIMEOUT):
            _backlog[:] = await count()
    except Exception as error:  # noqa: BLE001 - if the database fails, the other metrics matter all the more
        _backlog.clear()
        log.warning("backlog.unknown", error=repr(error))


@asynccontextmanager
async def polling_backlog(count: Count, interval: float) -> AsyncIterator[None]:
    """Refresh the backlog metrics every `interval` seconds while the block runs."""

    async def poll() -> None:
        while True:
            await refresh_backlog(count)
            await asyncio.sleep(interval)

    polling = asyncio.create_task(poll())
    try:
        yield
    finally:
        await cancel_and_wait(polling)


def _jobs(_: CallbackOptions) -> Iterable[Observation]:
    return [Observation(each.jobs, {"kind": each.kind, "state": each.state.value}) for each in _backlog.copy()]


def _oldest(_: CallbackOptions) -> Iterable[Observation]:
    queued = (each for each in _backlog.copy() if each.state is JobState.QUEUED)
    return [Observation(max(0.0, each.seconds), {"kind": each.kind}) for each in queued]


_meter = get_meter("app.jobs")
_meter.create_observable_gauge("app_unfinished_jobs", [_jobs], description="jobs that are not finished")
_meter.create_observable_gauge(
    "app_oldest_queued_job_seconds", [_oldest], "s", "how long the first job that is due has waited for a worker"
)
