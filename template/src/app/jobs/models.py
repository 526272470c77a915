"""The table of jobs."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Record


class JobState(StrEnum):
    """Where a job is in its life."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Job(Record):
    """A piece of durable work. This row is the truth; the queue carries nothing but its id.

    `attempt` counts claims, but none that was given back or failed for want of something else. A
    running job belongs to the worker that holds `lease`, until `lease_until` passes without a
    heartbeat. A queued job waits for `run_after`; `enqueued_at` is null until its id has been handed
    to the queue. `finished_at` is null while there is work left: a job that was cancelled keeps it
    null until a worker has left everything in order. `away_since` is when the first of its last tries
    failed that were not counted, for want of something else; null if the last one was counted
    or did a part of the job. `trace_parent` names the span in which the job was asked for, if that was traced.
    """

    __tablename__ = "jobs"
    __table_args__ = (
        Index("ix_jobs_owner_id_created_at", "owner_id", "created_at", "id"),
        Index("ix_jobs_unfinished", "state", "run_after", postgresql_where=text("finished_at IS NULL")),
        Index("ix_jobs_finished_at", "finished_at", postgresql_where=text("finished_at IS NOT NULL")),
        Index("ix_jobs_turns", "state", "owner_id", "run_after", postgresql_where=text("finished_at IS NULL")),
    )

    owner_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    kind: Mapped[str]
    payload: Mapped[dict[str, Any]] = mapped_column(JSONB)
    state: Mapped[str] = mapped_column(default=JobState.QUEUED)
    progress: Mapped[float] = mapped_column(default=0.0)
    attempt: Mapped[int] = mapped_column(default=0)
    error: Mapped[str | None]
    run_after: Mapped[datetime]
    enqueued_at: Mapped[datetime | None]
    lease: Mapped[UUID | None]
    lease_until: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    away_since: Mapped[datetime | None]
    trace_parent: Mapped[str | None]
