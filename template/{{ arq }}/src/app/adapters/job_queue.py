"""The job queue: ARQ on Redis or Valkey."""

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from arq import ArqRedis
from arq.constants import in_progress_key_prefix, job_key_prefix, retry_key_prefix
from arq.jobs import serialize_job
from pydantic import BaseModel, ConfigDict, Field, SecretStr
from redis.exceptions import RedisError

from app.errors import UnavailableError
from app.jobs.ports import JobQueue

RUN_JOB = "run_job"

# Timeout of connecting, and of one response, in seconds.
PATIENCE = 1.0

# Seconds until the message of an entry expires; enqueueing the entry again starts them again.
KEPT = 24 * 3600


class JobQueueSettings(BaseModel):
    """URL and name of the queue."""

    model_config = ConfigDict(extra="forbid")

    url: SecretStr = Field(description="redis://:password@host:port/database")
    name: str = Field(default="jobs", min_length=1, description="queue that the API and the workers share")


class ArqJobQueue:
    """A queue of job ids, in the format of ARQ."""

    keeps_copies = False

    def __init__(self, redis: ArqRedis) -> None:
        self._redis = redis

    async def enqueue(self, job_id: UUID) -> None:
        """Enqueue an id; if it is in the queue already, it keeps its place and is not added again.

        Raises:
            UnavailableError: Redis cannot be reached.
        """
        # ARQ's `enqueue_job` would not restore an entry of which only the message is left.
        queue, now = self._redis.default_queue_name, time.time_ns() // 1_000_000
        entry = f"{queue}:{job_id}"
        message = serialize_job(RUN_JOB, (str(job_id),), {}, None, now, serializer=serialize)
        try:
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.setex(job_key_prefix + entry, KEPT, message)
                pipe.zadd(queue, {entry: now}, nx=True)
                await pipe.execute()
        except (RedisError, OSError) as error:
            raise _unavailable() from error

    async def ping(self) -> None:
        """Raise `UnavailableError` if Redis does not answer."""
        try:
            await self._redis.ping()
        except (RedisError, OSError) as error:
            raise _unavailable() from error


def connect(settings: JobQueueSettings) -> ArqRedis:
    """Create a client of the queue; it connects on first use."""
    redis: ArqRedis = ArqRedis.from_url(
        settings.url.get_secret_value(), socket_connect_timeout=PATIENCE, socket_timeout=PATIENCE
    )
    redis.default_queue_name = settings.name
    redis.job_serializer = serialize
    redis.job_deserializer = json.loads
    return redis


async def take_out(redis: ArqRedis, entry: str) -> None:
    """Remove an entry and all keys that ARQ has for it, so that it can be enqueued again while its job runs."""
    keys = [prefix + entry for prefix in (job_key_prefix, in_progress_key_prefix, retry_key_prefix)]
    async with redis.pipeline(transaction=True) as pipe:
        pipe.zrem(redis.default_queue_name, entry)
        pipe.delete(*keys)
        await pipe.execute()


def serialize(job: dict[str, Any]) -> bytes:
    """Serialize a message as JSON: unlike pickle, ARQ's default, it cannot execute code in the worker."""
    return json.dumps(job, default=repr).encode()


@asynccontextmanager
async def open_job_queue(settings: JobQueueSettings) -> AsyncIterator[JobQueue]:
    """Yield the queue; disconnect at the end."""
    redis = connect(settings)
    try:
        yield ArqJobQueue(redis)
    finally:
        await redis.aclose()


def _unavailable() -> UnavailableError:
    return UnavailableError("The job queue cannot be reached.")
