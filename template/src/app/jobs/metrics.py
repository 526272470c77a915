"""Outcomes and durations of job attempts, as OpenTelemetry metrics."""

from typing import Literal

from opentelemetry.metrics import get_meter

from app.observability.buckets import SECONDS

Outcome = Literal["succeeded", "failed", "retried", "cancelled", "released", "lost"]
"""`cancelled`: by the owner. `released`: by a worker that shut down. `lost`: the lease expired or was taken over."""


def record_attempt(kind: str, outcome: Outcome, seconds: float) -> None:
    """Record how an attempt at a job ended, and its seconds since a worker claimed the job."""
    _attempts.record(seconds, {"kind": kind, "outcome": outcome})


_attempts = get_meter("app.jobs").create_histogram(
    "app_job_seconds", "s", "time of an attempt at a job, by how it ended", explicit_bucket_boundaries_advisory=SECONDS
)
