"""The Celery consumer, which waits for the broker."""

from typing import Any

import structlog
from celery.worker.consumer import Consumer
from celery.worker.state import maybe_shutdown

from app.jobs.alive import AliveFile

log = structlog.get_logger(__name__)


def make_consumer(alive: AliveFile) -> type[Consumer]:
    """Return a consumer class that keeps the liveness file fresh while it waits for the broker."""

    def beat() -> None:
        alive.beat()
        maybe_shutdown()

    def say(error: Exception, seconds: float) -> None:
        log.warning("worker.queue_lost", error=repr(error), retry_seconds=seconds)

    class PatientConsumer(Consumer):
        """Connects as Celery's own does, but calls `beat` every second until then, when timers do not run."""

        def ensure_connected(self, conn: Any) -> Any:  # noqa: ANN401 - Celery's connection has no public type
            """Retry until the broker answers."""
            connected = conn.ensure_connection(say, callback=beat)
            self.first_connection_attempt = False
            return connected

    return PatientConsumer
