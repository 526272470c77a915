"""Answers that the answer cache keeps on a Valkey, found by whom they were given to."""

from uuid import UUID

from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.accounts.ports import KeptAnswers
from app.adapters.valkey import ValkeySettings
from app.errors import UnavailableError

PAGE = 1000


class ValkeyKeptAnswers:
    """Forgets what a Valkey keeps for an account."""

    def __init__(self, client: Redis, prefix: str) -> None:
        self._client = client
        self._prefix = prefix

    async def forget(self, account_id: UUID) -> None:
        """Forget all answers that an account was given; harmless when there are none.

        Raises:
            UnavailableError: the server does not answer.
        """
        # Keys of answers begin with their owner: `answer_key` in chat/answer_cache.py.
        pattern = ":".join((self._prefix, "answers", "{" + str(account_id), "*"))
        try:
            async for name in self._client.scan_iter(pattern, count=PAGE):
                await self._client.unlink(name)
        except (RedisError, OSError) as error:
            raise UnavailableError("Valkey does not answer, so kept answers cannot be forgotten.") from error


def open_kept_answers(settings: ValkeySettings, client: Redis | None) -> KeptAnswers | None:
    """Offer the kept answers, or None where there is no server to keep any."""
    return None if client is None else ValkeyKeptAnswers(client, settings.prefix)
