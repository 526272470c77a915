"""The job queue: Celery, on any of its brokers."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from uuid import UUID

from celery import Celery
from kombu.exceptions import KombuError
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from app.errors import UnavailableError
from app.jobs.ports import JobQueue

RUN_JOB = "app.run_job"

# Timeouts of connecting or one response of the broker, and of a complete call, in seconds.
PATIENCE = 1.0
LONGEST_CALL = 2.0


class JobQueueSettings(BaseModel):
    """URL of the broker, and name of the queue."""

    model_config = ConfigDict(extra="forbid")

    url: SecretStr = Field(description="redis://:password@host:port/database")
    name: str = Field(default="jobs", min_length=1, description="queue that the API and the workers share")


class CeleryJobQueue:
    """A queue of job ids as Celery tasks; the blocking client runs on separate threads."""

    keeps_copies = True

    def __init__(self, client: Celery, threads: ThreadPoolExecutor) -> None:
        self._client = client
        self._threads = threads

    async def enqueue(self, job_id: UUID) -> None:
        """Enqueue an id.

        Raises:
            UnavailableError: the broker cannot be reached.
        """
        await self._call(lambda: self._client.send_task(RUN_JOB, [str(job_id)], ignore_result=True, retry=False))

    async def ping(self) -> None:
        """Raise `UnavailableError` if the broker does not answer."""
        await self._call(self._connect)

    def _connect(self) -> None:
        with self._client.connection_for_write() as connection:
            # Opening a channel is the simplest call that every transport supports; it closes with the connection.
            connection.ensure_connection(max_retries=1, interval_start=0, interval_step=0).channel()

    async def _call(self, function: Callable[[], object]) -> None:
        try:
            async with asyncio.timeout(LONGEST_CALL):
                await asyncio.get_running_loop().run_in_executor(self._threads, function)
        except (KombuError, OSError) as error:
            raise UnavailableError("The job queue cannot be reached.") from error


def broker_url(settings: JobQueueSettings) -> str:
    """Return the broker's URL; over TLS, its certificate is verified unless the URL disables that."""
    url = settings.url.get_secret_value()
    # By default, kombu accepts any certificate.
    if not url.startswith("rediss://") or "ssl_cert_reqs=" in url:
        return url
    return f"{url}{'&' if '?' in url else '?'}ssl_cert_reqs=required"


def make_client(settings: JobQueueSettings) -> Celery:
    """Create a client of the queue; it connects on first use."""
    client = Celery("app", broker=broker_url(settings), set_as_current=False)
    client.conf.update(
        broker_connection_timeout=PATIENCE,
        broker_transport_options={
            "interval_start": 0,
            "interval_step": 0,
            "max_retries": 1,
            "socket_connect_timeout": PATIENCE,
            "socket_timeout": PATIENCE,
        },
        task_default_queue=settings.name,
    )
    return client


@asynccontextmanager
async def open_job_queue(settings: JobQueueSettings) -> AsyncIterator[JobQueue]:
    """Yield the queue; disconnect at the end."""
    client = make_client(settings)
    threads = ThreadPoolExecutor(max_workers=4, thread_name_prefix="job-queue")
    try:
        yield CeleryJobQueue(client, threads)
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
        client.close()
