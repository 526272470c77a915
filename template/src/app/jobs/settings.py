"""How jobs are run: leases, retries, limits."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

# A beat also carries progress out and brings a cancellation in, so it never waits longer than this many seconds.
SLOWEST_HEARTBEAT = 2.0


class JobsSettings(BaseModel):
    """How workers hold, repeat and give up jobs. Durations are in seconds."""

    model_config = ConfigDict(extra="forbid")

    lease: float = Field(default=30, gt=0, description="how long a silent worker keeps its job")
    max_attempts: int = Field(default=5, ge=1, description="tries before a job has failed")
    backoff_base: float = Field(default=2, ge=0, description="wait after the first failed try; doubles with each")
    backoff_cap: float = Field(default=300, ge=0, description="longest wait between two tries")
    time_limit: float = Field(default=900, gt=0, description="longest that one try may take")
    concurrency: int = Field(default=2, ge=1, description="jobs that one worker runs at the same time")
    shutdown_grace: float = Field(default=20, ge=0, description="what a stopping worker leaves its running jobs")
    sweep_interval: float = Field(default=5, gt=0, description="time between two looks for forgotten jobs")
    retention_days: int = Field(default=90, ge=1, le=36_500, description="days after its end that a job is deleted")
    alive_file: Path | None = Field(
        default=None, description="file that a worker creates when it is ready and touches while it makes progress"
    )
    requeue_after: float = Field(
        default=60,
        gt=0,
        description="when an id that no worker took is sent once more; with Celery it doubles each time, to an hour",
    )

    @property
    def heartbeat(self) -> float:
        """Seconds between two signs of life of a worker: three fit into a lease."""
        return min(self.lease / 3, SLOWEST_HEARTBEAT)
