"""How attempts at jobs end, as the meters of OpenTelemetry tell it."""

from typing import Literal

from opentelemetry.metrics import get_meter

from app.observability.buckets import SECONDS

Outcome = Literal["succeeded", "failed", "retried", "cancelled", "released", "lost"]
"""For good or for bad; to be tried again; ended by its owner; given back by a worker that stops; taken by another."""


def record_attempt(kind: str, outcome: Outcome, seconds: float) -> None:
    """Record an attempt at a job of this kind, and how long it took from when a worker claimed it."""
    _attempts.record(seconds, {"kind": kind, "outcome": outcome})


_attempts = get_meter("app.jobs").create_histogram(
    "app_job_seconds", "s", "time of an attempt at a job, by how it ended", explicit_bucket_boundaries_advisory=SECONDS
)
