"""Entry point of the worker, `python -m app.worker`: runs jobs from Celery, each in a process of its pool."""

import asyncio
import logging
import math
import mmap
import os
import signal
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from typing import Any
from uuid import UUID

import structlog
from celery import Celery, bootsteps, signals

from app.adapters.job_queue import RUN_JOB, broker_url, open_job_queue
from app.bootstrap import open_job_runner
from app.cancellation import cancel_and_wait
from app.database import open_database
from app.errors import StartupError
from app.jobs.alive import alive_file
from app.jobs.runner import CLAIM_PATIENCE, JobRunner
from app.jobs.sweeper import sweep
from app.observability.logging import configure_logging
from app.patient_consumer import make_consumer
from app.retention import expire_all
from app.settings import Settings

log = structlog.get_logger(__name__)

OpenJobRunner = Callable[[Settings], AbstractAsyncContextManager[JobRunner]]

# Seconds by which Celery's time limit exceeds the longest that a job may take, with the wait for the database. It kills
# processes whose handler ignores cancellation.
SPARE = 30

# Longest startup error that is passed to the parent process.
REASON_BYTES = 4096

# By default Celery waits forever for a broker that does not respond. With these, a lost connection is noticed within
# two health check intervals.
TRANSPORT_OPTIONS = {
    "health_check_interval": 10,
    "socket_connect_timeout": 5,
    "socket_keepalive": True,
    "socket_timeout": 5,
}

# Timeouts of starting a process, which loads the models, and of one sweep, in seconds.
START_LIMIT = 300.0
SWEEP_LIMIT = 5.0


class PoolProcess:
    """One process of the pool: an event loop and the services, reused for all its jobs.

    It is created before the pool forks and opened in each fork. Only the parent keeps the write end of the lifeline
    pipe open, so every process sees it close on shutdown.
    """

    def __init__(self, settings: Settings, open_runner: OpenJobRunner) -> None:
        self._settings = settings
        self._open_runner = open_runner
        self._lifeline, self._parent_end = os.pipe()
        self._parent = os.getpid()
        self._reason = mmap.mmap(-1, REASON_BYTES)
        # A pipe with one byte: the process that reads it is the first to fail, and stops the parent.
        self._token, end = os.pipe()
        os.set_blocking(self._token, False)
        os.write(end, b"!")
        self._alive = alive_file(settings.jobs)
        self._stack = AsyncExitStack()

    def open(self, **_: object) -> None:
        """Load the models and connect; on failure, stop the worker."""
        os.close(self._parent_end)
        self._loop = asyncio.Runner()
        try:
            self._jobs = self._loop.run(self._stack.enter_async_context(self._open_runner(self._settings)))
        except Exception as error:
            # Only one process may stop Celery: a second signal would abort its shutdown.
            with suppress(BlockingIOError):
                os.read(self._token, 1)
                log.critical("worker.startup_failed", error=str(error), exc_info=not isinstance(error, StartupError))
                self._reason[:] = (str(error) or repr(error)).encode()[:REASON_BYTES].ljust(REASON_BYTES, b"\0")
                if os.getppid() == self._parent:
                    os.kill(self._parent, signal.SIGQUIT)
            os._exit(1)
        self._alive.create()
        log.info("worker.ready", queue=self._settings.job_queue.name)

    def close(self, **_: object) -> None:
        """Disconnect."""
        self._loop.run(self._stack.aclose())
        self._loop.close()

    def run(self, job_id: str) -> None:
        """Run one job until it ends, or until the grace period of a shutdown is over."""
        try:
            self._loop.run(self._run(UUID(job_id)))
        except Exception:
            # The row has the state, and the sweeper enqueues the job again.
            log.exception("job.unsettled", job_id=job_id)

    @property
    def failure(self) -> str:
        """Why a process could not start, else empty; the parent reads it from shared memory."""
        return self._reason[:].rstrip(b"\0").decode(errors="ignore")

    def release(self, **_: object) -> None:
        """Notify all processes of the shutdown; called in the parent."""
        with suppress(OSError):
            os.close(self._parent_end)

    async def _run(self, job_id: UUID) -> None:
        loop = asyncio.get_running_loop()
        job = asyncio.create_task(self._jobs.run(job_id))
        beating = asyncio.create_task(self._alive.keep())

        def stop() -> None:
            # Only once: a second cancellation would interrupt the release of the job.
            if loop.remove_reader(self._lifeline):
                loop.call_later(self._settings.jobs.shutdown_grace, job.cancel)

        loop.add_reader(self._lifeline, stop)
        # Celery's handler would end the job at once if a signal reaches the entire process group.
        usual = signal.signal(signal.SIGTERM, lambda *_: loop.call_soon_threadsafe(stop))
        try:
            # The runner has released a cancelled job.
            await asyncio.wait({job})
            if not job.cancelled():
                job.result()
        finally:
            signal.signal(signal.SIGTERM, usual)
            loop.remove_reader(self._lifeline)
            await cancel_and_wait(beating)


def main() -> None:
    """Run the worker until SIGTERM or Ctrl-C."""
    settings = Settings()
    configure_logging(settings.logging)
    run_worker(settings, open_job_runner)


def run_worker(settings: Settings, open_runner: OpenJobRunner) -> None:
    """Run jobs and sweep until SIGTERM or SIGINT; running jobs then have the grace period to finish."""
    # The runner logs every job; Celery would log the same again.
    logging.getLogger("celery").setLevel(logging.WARNING)
    alive_file(settings.jobs).remove()
    process = PoolProcess(settings, open_runner)
    app = make_app(settings)
    app.task(name=RUN_JOB)(process.run)
    app.steps["consumer"].add(make_sweeper(settings))
    signals.setup_logging.connect(_keep_logging, weak=False)
    signals.worker_process_init.connect(process.open, weak=False)
    signals.worker_process_shutdown.connect(process.close, weak=False)
    signals.worker_shutting_down.connect(process.release, weak=False)
    worker: Any = app.Worker(quiet=True, without_gossip=True, without_mingle=True, without_heartbeat=True)
    worker.start()
    if process.failure:
        # Last, because Celery logs a lot when it is stopped during startup.
        log.critical("worker.startup_failed", error=process.failure)
        sys.exit(1)
    log.info("worker.stopped")
    sys.exit(worker.exitcode)


def make_app(settings: Settings) -> Celery:
    """Configure Celery as a transport only: jobs are in SQL, so messages need no results and may be lost."""
    app = Celery("app", broker=broker_url(settings.job_queue))
    app.conf.update(
        accept_content=["json"],
        broker_connection_retry_on_startup=True,
        broker_transport_options=TRANSPORT_OPTIONS,
        task_default_queue=settings.job_queue.name,
        task_ignore_result=True,
        task_time_limit=math.ceil(settings.jobs.time_limit + CLAIM_PATIENCE) + SPARE,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_consumer=make_consumer(alive_file(settings.jobs)),
        worker_concurrency=settings.jobs.concurrency,
        worker_enable_remote_control=False,
        worker_pool="prefork",
        worker_prefetch_multiplier=1,
        worker_proc_alive_timeout=START_LIMIT,
        worker_redirect_stdouts=False,
    )
    return app


def make_sweeper(settings: Settings) -> type[bootsteps.StartStopStep]:
    """Return the bootstep by which the parent process sweeps and touches the liveness file.

    Unlike Celery's beat, it needs no messages, which could pile up, no schedule file and no free process.
    """

    def sweep_now() -> None:
        try:
            asyncio.run(_sweep(settings))
        except Exception:
            log.exception("sweep.failed")

    class Sweeper(bootsteps.StartStopStep):
        """Sweeps on start, and then at the configured interval."""

        requires = ("celery.worker.consumer.tasks:Tasks",)

        def start(self, parent: Any) -> None:  # noqa: ANN401 - Celery's consumer has no public type
            self.timer = parent.timer
            alive = alive_file(settings.jobs)
            self.entries = [
                parent.timer.call_repeatedly(settings.jobs.sweep_interval, sweep_now),
                parent.timer.call_repeatedly(alive.interval, alive.beat),
            ]
            sweep_now()

        def stop(self, parent: Any) -> None:  # noqa: ANN401 - as above
            for entry in self.entries:
                self.timer.cancel(entry)

    return Sweeper


async def _sweep(settings: Settings) -> None:
    # Connections are closed after each sweep: the pool forks from this process and must not inherit any.
    async with (
        asyncio.timeout(SWEEP_LIMIT),
        open_database(settings.database) as database,
        open_job_queue(settings.job_queue) as queue,
    ):
        await sweep(database, queue, settings.jobs)
        await expire_all(database, settings)


def _keep_logging(**_: object) -> None:
    """Do nothing: while this receiver is connected, Celery does not configure logging itself."""


if __name__ == "__main__":
    main()
