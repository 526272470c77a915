"""The answer cache in Valkey; without a Valkey, no answers are cached."""

from dataclasses import replace
from uuid import UUID

import structlog
from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError
from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.adapters.valkey import ValkeySettings
from app.adapters.valkey_scripts import OUTAGE_SECONDS, ValkeyScripts
from app.chat.answer_cache import AnswerCache, CachedAnswer, Claim
from app.chat.settings import AnswerCacheSettings
from app.errors import StartupError, UnavailableError

log = structlog.get_logger(__name__)

PAGE = 1000  # keys per scan when an account's answers are deleted
CALLED_OFF_MILLISECONDS = 1000  # longer than waiting requests pause between two polls

_ANSWER = TypeAdapter(CachedAnswer)

# KEYS: an answer, or its claim (the holder's token, or an empty string once called off). Times are in milliseconds.
FIND = "return {redis.call('GET', KEYS[1]), redis.call('PTTL', KEYS[1])}"
KEEP = "redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])"
CLAIM = """
local holder = redis.call('GET', KEYS[1])
if holder then return holder == '' and 'off' or 'taken' end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 'granted'
"""
RENEW = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end"
# KEYS: the claim; the answer. ARGV: the holder's token; for how long claims are called off, or 0.
RELEASE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return end
if ARGV[2] == '0' or redis.call('EXISTS', KEYS[2]) == 1 then
  redis.call('DEL', KEYS[1])
else
  redis.call('SET', KEYS[1], '', 'PX', ARGV[2])
end
"""


class ValkeyAnswerCache:
    """Caches answers for all processes. While the server is unreachable, requests go to the model."""

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

    async def find(self, key: str) -> CachedAnswer | None:
        """Return the cached answer; None if there is none or it cannot be parsed."""
        found = await self._scripts.run(self._find, [self._name(key)], [])
        if found is None or found[0] is None:
            return None
        try:
            return replace(_ANSWER.validate_json(found[0]), left=max(0, found[1]) / 1000)
        except ValidationError:
            log.warning("answer_cache.unreadable")
            return None

    async def keep(self, key: str, answer: CachedAnswer) -> None:
        """Store an answer if it is not too large and can be encoded."""
        try:
            written = _ANSWER.dump_json(answer)
        except PydanticSerializationError:
            return  # models may write lone surrogates, which UTF-8 cannot encode
        if len(written) <= self._max_bytes:
            await self._scripts.run(self._keep, [self._name(key)], [written, _milliseconds(answer.life)])

    async def claim(self, key: str, token: str, seconds: float) -> Claim:
        """Claim the right to generate an answer, unless another request has it."""
        claim = await self._scripts.run(self._claim, [self._holder(key)], [token, _milliseconds(seconds)])
        match claim:
            case b"granted":
                return "granted"
            case b"taken":
                return "taken"
            case _:
                return "off"

    async def renew(self, key: str, token: str, seconds: float) -> None:
        """Extend a claim."""
        await self._scripts.run(self._renew, [self._holder(key)], [token, _milliseconds(seconds)])

    async def release(self, key: str, token: str, *, call_off: bool) -> None:
        """Release a claim."""
        pause = CALLED_OFF_MILLISECONDS if call_off else 0
        await self._scripts.run(self._release, [self._holder(key), self._name(key)], [token, pause])

    async def forget(self, account_id: UUID) -> None:
        """Delete all cached answers of an account. Idempotent.

        Raises:
            UnavailableError: the server does not answer.
        """
        # Keys of answers begin with the owner's ID, and keys of claims with the key of their answer.
        pattern = self._name(f"{account_id}:*") + "*"
        try:
            async for name in self._client.scan_iter(pattern, count=PAGE):
                await self._client.unlink(name)
        except (RedisError, OSError) as error:
            raise UnavailableError("Valkey does not answer, so cached answers cannot be deleted.") from error

    def _name(self, key: str) -> str:
        # Hash tag: in a cluster, an answer and its claim must be in the same slot.
        return ":".join((self._prefix, "answers", "{" + key + "}"))

    def _holder(self, key: str) -> str:
        return f"{self._name(key)}:claim"


def open_answer_cache(
    settings: AnswerCacheSettings, valkey: ValkeySettings, client: Redis | None
) -> AnswerCache | None:
    """Return the answer cache, or None if it is disabled.

    Raises:
        StartupError: it is enabled, but no Valkey is configured.
    """
    if not settings.max_ttl:
        return None
    if client is None:
        raise StartupError(
            "The answer cache needs Valkey: set APP_VALKEY__URL, or APP_ANSWER_CACHE__MAX_TTL=0 to disable the cache."
        )
    return ValkeyAnswerCache(client, valkey.prefix, settings.max_bytes)


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))
