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
    """The state of a job; the last three are final."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Job(Record):
    """A durable background job. This row is authoritative; the queue carries only its id.

    `attempt` counts claims, except those that were released or that failed because something the job needs was
    unavailable. A running job belongs to the worker that holds `lease`, until `lease_until` passes without a heartbeat.
    A queued job waits for `run_after`; `enqueued_at` is null until its id has been handed to the queue. `finished_at`
    is null while there is work left: for a cancelled job, until a worker has cleaned up. `away_since` is when the
    current run of uncounted failures began (something was unavailable); null if the last attempt was counted or did a
    part of the job. `trace_parent` is the span in which the job was created, if it was traced.
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
