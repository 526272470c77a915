"""The part of the Celery worker that waits for the broker."""

from typing import Any

import structlog
from celery.worker.consumer import Consumer
from celery.worker.state import maybe_shutdown

from app.jobs.alive import AliveFile

log = structlog.get_logger(__name__)


def make_consumer(alive: AliveFile) -> type[Consumer]:
    """Make a consumer that beats while the broker is away, when Celery's timers do not run."""

    def beat() -> None:
        alive.beat()
        maybe_shutdown()

    def say(error: Exception, seconds: float) -> None:
        log.warning("worker.queue_lost", error=repr(error), retry_seconds=seconds)

    class PatientConsumer(Consumer):
        """Connects as Celery's own does, and calls `beat` every second until it has."""

        def ensure_connected(self, conn: Any) -> Any:  # noqa: ANN401 - Celery's connection has no public type
            """Retry until the broker answers."""
            connected = conn.ensure_connection(say, callback=beat)
            self.first_connection_attempt = False
            return connected

    return PatientConsumer
