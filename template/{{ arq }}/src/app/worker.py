"""Entry point of the worker, `python -m app.worker`: runs jobs that it takes from ARQ."""

import asyncio
import json
import logging
import math
import signal
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, aclosing, suppress
from typing import Any
from uuid import UUID

import structlog
from arq import ArqRedis, Worker, func

from app.adapters.job_queue import RUN_JOB, connect, open_job_queue, serialize, take_out
from app.bootstrap import open_job_runner
from app.cancellation import cancel_and_wait
from app.database import open_database
from app.errors import StartupError
from app.jobs.alive import alive_file
from app.jobs.runner import CLAIM_PATIENCE, JobRunner
from app.jobs.sweeper import sweep
from app.observability.logging import configure_logging
from app.retention import expire_all
from app.settings import Settings

log = structlog.get_logger(__name__)

OpenJobRunner = Callable[[Settings], AbstractAsyncContextManager[JobRunner]]

FIRST = asyncio.FIRST_COMPLETED

# Seconds between two polls of an empty queue, and before reconnecting to a failed one.
POLL_DELAY = 0.1
RECONNECT_DELAY = 1.0

# Seconds by which ARQ's time limit exceeds the longest that a job may take, with the wait for the database. It is the
# safety net for handlers that ignore cancellation.
SPARE = 30

# Seconds after which a reservation expires if the worker has not removed the entry from the queue.
RESERVED = 30

# Timeout of the last sweep, in seconds.
SWEEP_LIMIT = 5.0


class EntryWorker(Worker):
    """ARQ's worker, for entries that leave the queue when their job starts, and may return before it ends."""

    async def start_jobs(self, job_ids: list[bytes]) -> None:
        """Start jobs, except those that this worker is still running, whose tasks ARQ would lose track of."""
        await super().start_jobs([entry for entry in job_ids if entry.decode() not in self.tasks])

    async def finish_job(self, *_: object, **__: object) -> None:
        """Do nothing: an entry that is in the queue now was enqueued after the job started."""


def main() -> None:
    """Run the worker until SIGTERM or Ctrl-C."""
    settings = Settings()
    configure_logging(settings.logging)
    try:
        run_worker(settings, open_job_runner)
    except StartupError as error:
        log.critical("worker.startup_failed", error=str(error))
        sys.exit(1)


def run_worker(settings: Settings, open_runner: OpenJobRunner) -> None:
    """Run jobs and sweep until SIGTERM or SIGINT; running jobs then have the grace period to finish."""
    # The runner logs every job; ARQ would log the same again.
    logging.getLogger("arq").setLevel(logging.WARNING)
    alive_file(settings.jobs).remove()
    asyncio.run(_work(settings, open_runner))


async def _work(settings: Settings, open_runner: OpenJobRunner) -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    async with open_runner(settings) as runner, aclosing(connect(settings.job_queue)) as redis:
        alive = alive_file(settings.jobs)
        alive.create()
        beating = asyncio.create_task(alive.keep())
        sweeping = asyncio.create_task(_sweep(settings, stopping))
        running: set[asyncio.Task[Any]] = set()
        try:
            while not stopping.is_set():
                await _consume(make_worker(settings, runner, redis), running, stopping)
            await _drain(running, settings.jobs.shutdown_grace)
        finally:
            stopping.set()
            # An interrupted sweep may leave jobs marked as enqueued that are not.
            await asyncio.wait({sweeping}, timeout=SWEEP_LIMIT)
            await cancel_and_wait(sweeping, beating)
    log.info("worker.stopped")


async def _consume(worker: Worker, running: set[asyncio.Task[Any]], stopping: asyncio.Event) -> None:
    """Take jobs off the queue until it fails or `stopping` is set; leave the tasks of running jobs in `running`."""

    def make_room(task: asyncio.Task[Any]) -> None:
        worker.max_jobs += 1
        running.discard(task)
        # Errors of ARQ after a job do not matter: the row has its outcome.
        _ = task.cancelled() or task.exception()

    # Jobs continue when the queue fails; until they end, the next worker has fewer free slots.
    for task in running:
        worker.max_jobs -= 1
        task.add_done_callback(make_room)
    polling = asyncio.create_task(worker.async_run())
    stop = asyncio.create_task(stopping.wait())
    await asyncio.wait({polling, stop}, return_when=FIRST)
    if polling.done():
        log.warning("worker.queue_lost", error=repr(polling.exception()))
        await asyncio.wait({stop}, timeout=RECONNECT_DELAY)
    worker.allow_pick_jobs = False
    await cancel_and_wait(stop, polling)
    running.update(worker.tasks.values())


async def _drain(tasks: set[asyncio.Task[Any]], grace: float) -> None:
    running = [task for task in tasks if not task.done()]
    log.info("worker.stopping", running=len(running), grace=grace)
    if not running:
        return
    _, unfinished = await asyncio.wait(running, timeout=grace)
    for task in unfinished:
        # The runner returns the job to the queue.
        task.cancel()
    await asyncio.gather(*unfinished, return_exceptions=True)


def make_worker(settings: Settings, runner: JobRunner, redis: ArqRedis) -> Worker:
    """Create the ARQ worker that takes entries off the queue and runs their jobs."""

    async def run_job(ctx: dict[Any, Any], job_id: str) -> None:
        try:
            await take_out(ctx["redis"], ctx["job_id"])
            await runner.run(UUID(job_id))
        except Exception:
            # The row has the state, and the sweeper enqueues the job again.
            log.exception("job.unsettled", job_id=job_id)

    async def say_ready(ctx: dict[Any, Any]) -> None:  # noqa: ARG001 - ARQ's signature
        log.info("worker.ready", queue=settings.job_queue.name, concurrency=settings.jobs.concurrency)

    worker = EntryWorker(
        [func(run_job, name=RUN_JOB)],
        queue_name=settings.job_queue.name,
        redis_pool=redis,
        on_startup=say_ready,
        handle_signals=False,
        max_jobs=settings.jobs.concurrency,
        job_timeout=math.ceil(settings.jobs.time_limit + CLAIM_PATIENCE) + SPARE,
        keep_result=0,
        log_results=False,
        poll_delay=POLL_DELAY,
        job_serializer=serialize,
        job_deserializer=json.loads,
    )
    worker.in_progress_timeout_s = RESERVED
    return worker


async def _sweep(settings: Settings, stopping: asyncio.Event) -> None:
    async with open_database(settings.database) as database, open_job_queue(settings.job_queue) as queue:
        while not stopping.is_set():
            try:
                await sweep(database, queue, settings.jobs)
                await expire_all(database, settings)
            except Exception:
                log.exception("sweep.failed")
            with suppress(TimeoutError):
                async with asyncio.timeout(settings.jobs.sweep_interval):
                    await stopping.wait()


if __name__ == "__main__":
    main()
