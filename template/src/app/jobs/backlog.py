"""How much work waits, as the meters of OpenTelemetry tell it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from opentelemetry.metrics import CallbackOptions, Observation, get_meter

from app.jobs.models import JobState


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


_backlog: list[Waiting] = []


def show_backlog(backlog: Sequence[Waiting]) -> None:
    """Let the meters tell this from now on."""
    _backlog[:] = backlog


def _jobs(_: CallbackOptions) -> Iterable[Observation]:
    return [Observation(each.jobs, {"kind": each.kind, "state": each.state.value}) for each in _backlog]


def _oldest(_: CallbackOptions) -> Iterable[Observation]:
    queued = (each for each in _backlog if each.state is JobState.QUEUED)
    return [Observation(max(0.0, each.seconds), {"kind": each.kind}) for each in queued]


_meter = get_meter("app.jobs")
_meter.create_observable_gauge("app_unfinished_jobs", [_jobs], description="jobs in which there is work left")
_meter.create_observable_gauge(
    "app_oldest_queued_job_seconds", [_oldest], "s", "how long the first job that is due has waited for a worker"
)
