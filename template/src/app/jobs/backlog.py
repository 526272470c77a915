"""How much work waits, as the meters of OpenTelemetry tell it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog
from opentelemetry.metrics import CallbackOptions, Observation, get_meter

from app.cancellation import cancel_and_wait
from app.jobs.models import JobState

log = structlog.get_logger(__name__)

# Prometheus waits ten seconds for everything, unless told otherwise.
LOOK_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Waiting:
    """Unfinished jobs of one kind, in one state.

    Attributes:
        seconds: since the oldest of them might have run; below 0 if that is still to come.
    """

    kind: str
    state: JobState
    jobs: int
    seconds: float


Count = Callable[[], Awaitable[Sequence[Waiting]]]

_backlog: list[Waiting] = []


async def look_at_backlog(count: Count) -> None:
    """Let the meters tell from now on what `count` finds; nothing, if that takes long or fails."""
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            _backlog[:] = await count()
    except Exception as error:  # noqa: BLE001 - whatever is wrong with the database, the rest is wanted all the more
        _backlog.clear()
        log.warning("backlog.unknown", error=repr(error))


@asynccontextmanager
async def following_backlog(count: Count, interval: float) -> AsyncIterator[None]:
    """Look at the backlog every so many seconds while the block runs."""

    async def follow() -> None:
        while True:
            await look_at_backlog(count)
            await asyncio.sleep(interval)

    following = asyncio.create_task(follow())
    try:
        yield
    finally:
        await cancel_and_wait(following)


def _jobs(_: CallbackOptions) -> Iterable[Observation]:
    return [Observation(each.jobs, {"kind": each.kind, "state": each.state.value}) for each in _backlog.copy()]


def _oldest(_: CallbackOptions) -> Iterable[Observation]:
    queued = (each for each in _backlog.copy() if each.state is JobState.QUEUED)
    return [Observation(max(0.0, each.seconds), {"kind": each.kind}) for each in queued]


_meter = get_meter("app.jobs")
_meter.create_observable_gauge("app_unfinished_jobs", [_jobs], description="jobs in which there is work left")
_meter.create_observable_gauge(
    "app_oldest_queued_job_seconds", [_oldest], "s", "how long the first job that is due has waited for a worker"
)
