"""The answer cache: answers of language models lie in Valkey until their time is up; without one none are kept."""

from dataclasses import replace
from uuid import UUID

import structlog
from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError
from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.adapters.valkey import ValkeySettings
from app.adapters.valkey_scripts import OUTAGE_SECONDS, ValkeyScripts
from app.chat.answer_cache import AnswerCache, Claim, KeptAnswer
from app.chat.settings import AnswerCacheSettings
from app.errors import StartupError, UnavailableError

log = structlog.get_logger(__name__)

PAGE = 1000  # names that are looked at together when answers are forgotten
CALLED_OFF_MILLISECONDS = 1000  # longer than those who wait pause between two looks

_ANSWER = TypeAdapter(KeptAnswer)

# KEYS: an answer, or who gets it (a token, or nothing where that was called off). Times are in milliseconds.
FIND = "return {redis.call('GET', KEYS[1]), redis.call('PTTL', KEYS[1])}"
KEEP = "redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])"
CLAIM = """
local holder = redis.call('GET', KEYS[1])
if holder then return holder == '' and 'off' or 'taken' end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 'granted'
"""
RENEW = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end"
# KEYS: who gets the answer; the answer. ARGV: the token; for how long the search for it is called off, or 0.
RELEASE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return end
if ARGV[2] == '0' or redis.call('EXISTS', KEYS[2]) == 1 then
  redis.call('DEL', KEYS[1])
else
  redis.call('SET', KEYS[1], '', 'PX', ARGV[2])
end
"""


class ValkeyAnswerCache:
    """Keeps answers where every process finds them. While the server does not answer, models do."""

    def __init__(self, client: Redis, prefix: str, max_bytes: int, outage_seconds: float = OUTAGE_SECONDS) -> None:
        self._client = client
        self._scripts = ValkeyScripts(client, "answer_cache", outage_seconds)
        self._find = self._scripts.register(FIND)
        self._keep = self._scripts.register(KEEP)
        self._claim = self._scripts.register(CLAIM)
        self._renew = self._scripts.register(RENEW)
        self._release = self._scripts.register(RELEASE)
        self._prefix = prefix
        self._max_bytes = max_bytes

    async def find(self, key: str) -> KeptAnswer | None:
        """Find an answer; one that cannot be read is none."""
        found = await self._scripts.run(self._find, [self._name(key)], [])
        if found is None or found[0] is None:
            return None
        try:
            return replace(_ANSWER.validate_json(found[0]), left=max(0, found[1]) / 1000)
        except ValidationError:
            log.warning("answer_cache.unreadable")
            return None

    async def keep(self, key: str, answer: KeptAnswer) -> None:
        """Keep an answer if it is not too large."""
        try:
            written = _ANSWER.dump_json(answer)
        except PydanticSerializationError:
            return  # models may write half a character, which has no UTF-8
        if len(written) <= self._max_bytes:
            await self._scripts.run(self._keep, [self._name(key)], [written, _milliseconds(answer.life)])

    async def claim(self, key: str, token: str, seconds: float) -> Claim:
        """Take on getting an answer, unless somebody else has."""
        claim = await self._scripts.run(self._claim, [self._holder(key)], [token, _milliseconds(seconds)])
        match claim:
            case b"granted":
                return "granted"
            case b"taken":
                return "taken"
            case _:
                return "off"

    async def renew(self, key: str, token: str, seconds: float) -> None:
        """Hold a claim."""
        await self._scripts.run(self._renew, [self._holder(key)], [token, _milliseconds(seconds)])

    async def release(self, key: str, token: str, *, call_off: bool) -> None:
        """Give a claim back."""
        pause = CALLED_OFF_MILLISECONDS if call_off else 0
        await self._scripts.run(self._release, [self._holder(key), self._name(key)], [token, pause])

    async def forget(self, account_id: UUID) -> None:
        """Forget all answers that an account was given; harmless when there are none.

        Raises:
            UnavailableError: the server does not answer.
        """
        # Keys of answers begin with their owner, and the names of claims with those of answers.
        pattern = self._name(f"{account_id}:*") + "*"
        try:
            async for name in self._client.scan_iter(pattern, count=PAGE):
                await self._client.unlink(name)
        except (RedisError, OSError) as error:
            raise UnavailableError("Valkey does not answer, so kept answers cannot be forgotten.") from error

    def _name(self, key: str) -> str:
        # In a cluster, the braces keep an answer and its claim together.
        return ":".join((self._prefix, "answers", "{" + key + "}"))

    def _holder(self, key: str) -> str:
        return f"{self._name(key)}:claim"


def open_answer_cache(
    settings: AnswerCacheSettings, valkey: ValkeySettings, client: Redis | None
) -> AnswerCache | None:
    """Offer a cache, or None where no answers are to be kept.

    Raises:
        StartupError: they are, and there is no server for it.
    """
    if not settings.max_ttl:
        return None
    if client is None:
        raise StartupError(
            "Answers can only be kept on a Valkey: set APP_VALKEY__URL, or APP_ANSWER_CACHE__MAX_TTL=0 to keep none."
        )
    return ValkeyAnswerCache(client, valkey.prefix, settings.max_bytes)


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))
