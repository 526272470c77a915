"""The client of Valkey (or Redis), which holds shared counters and caches that may be lost."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pydantic import BaseModel, ConfigDict, Field, SecretStr
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff


class ValkeySettings(BaseModel):
    """The server's address and the prefix of this service's keys."""

    model_config = ConfigDict(extra="forbid")

    url: SecretStr | None = Field(
        default=None, description="redis://:password@host:port/database; without it every process counts for itself"
    )
    timeout: float = Field(
        default=0.5, gt=0, description="seconds that connecting, or one answer, may take: requests wait for it"
    )
    prefix: str = Field(default="app", pattern=r"^[\w.-]+$", description="what every key begins with")


@asynccontextmanager
async def open_valkey(settings: ValkeySettings) -> AsyncIterator[Redis | None]:
    """Yield a client that connects lazily, or None if no server is configured."""
    if settings.url is None:
        yield None
        return
    # One more try mends a connection that the server has dropped meanwhile; the client's own ten would take seconds.
    retry = Retry(NoBackoff(), 1)
    url = settings.url.get_secret_value()
    timeout = settings.timeout
    async with Redis.from_url(url, socket_connect_timeout=timeout, socket_timeout=timeout, retry=retry) as client:
        yield client
