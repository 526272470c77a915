"""Settings for jobs: leases, retries, limits."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

# A heartbeat also writes progress and notices a cancellation, so it comes at least this often, in seconds.
SLOWEST_HEARTBEAT = 2.0


class JobsSettings(BaseModel):
    """Leases, retries and limits of jobs. Durations are in seconds."""

    model_config = ConfigDict(extra="forbid")

    lease: float = Field(default=30, gt=0, description="how long a job stays with a worker that sends no heartbeat")
    max_attempts: int = Field(default=5, ge=1, description="attempts before a job fails")
    backoff_base: float = Field(default=2, ge=0, description="wait after the first failed attempt; doubles with each")
    backoff_cap: float = Field(default=300, ge=0, description="longest wait between two attempts")
    time_limit: float = Field(default=900, gt=0, description="longest duration of one attempt")
    concurrency: int = Field(default=2, ge=1, description="jobs that one worker runs concurrently")
    shutdown_grace: float = Field(default=20, ge=0, description="time that running jobs have to finish on shutdown")
    sweep_interval: float = Field(default=5, gt=0, description="time between two sweeps for lost jobs")
    retention_days: int = Field(default=90, ge=1, le=36_500, description="days after which ended jobs are deleted")
    alive_file: Path | None = Field(
        default=None, description="file that a worker creates when it is ready and touches while it makes progress"
    )
    requeue_after: float = Field(
        default=60,
        gt=0,
        description="when an unclaimed job is enqueued again; with Celery the wait doubles each time, up to an hour",
    )

    @property
    def heartbeat(self) -> float:
        """Seconds between two heartbeats: at least three fit into a lease."""
        return min(self.lease / 3, SLOWEST_HEARTBEAT)
