"""Tests of the answer cache in Valkey: expiry, claims across processes, and outages."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from uuid import uuid4

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from app.adapters.answer_cache import ValkeyAnswerCache, open_answer_cache
from app.adapters.valkey import ValkeySettings, open_valkey
from app.auth.caller import Caller
from app.chat.answer_cache import AnswerCache, CachedAnswer, answer_key
from app.chat.ports import Finished, Message, ModelRequest, TextDelta, ToolCallDelta, Usage
from app.chat.settings import AnswerCacheSettings
from app.errors import StartupError, UnavailableError
from app.settings import Settings
from tests.adapters.valkey import dead_valkey, gated_valkey
from tests.answers.fakes import FakeLanguageModel

PIECES = (TextDelta("Zwölf “Monate”\x00"), ToolCallDelta(0, '{"city": ', "call_1", "weather"), ToolCallDelta(0, "1}"))
END = Finished("tool_calls", Usage(11, 7, 4), "openai:steady")
ANSWER = CachedAnswer(PIECES, END, took=1.5, life=60, left=60)


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[Redis]:
    async with open_valkey(settings.valkey) as opened:
        assert opened is not None
        yield opened


@pytest.fixture
async def caches(settings: Settings) -> AsyncIterator[tuple[AnswerCache, AnswerCache]]:
    """Return the caches of two processes."""
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(open_valkey(settings.valkey)) for _ in range(2)]
        one, two = (open_answer_cache(AnswerCacheSettings(max_ttl=60), settings.valkey, each) for each in clients)
        assert one is not None
        assert two is not None
        yield one, two


async def test_an_answer_is_found_as_it_was_kept_by_every_process(caches: tuple[AnswerCache, AnswerCache]) -> None:
    one, two = caches
    assert await one.find("a") is None
    await one.keep("a", ANSWER)
    found = await two.find("a")
    assert found is not None
    assert (tuple(found.pieces), found.end, found.took, found.life) == (PIECES, END, 1.5, 60)
    assert 0 < found.left <= 60
    assert found.age == 60 - found.left
    assert await two.find("b") is None


async def test_an_answer_is_gone_when_its_time_is_up(caches: tuple[AnswerCache, AnswerCache]) -> None:
    one, _ = caches
    await one.keep("a", CachedAnswer(PIECES, END, took=1, life=0.05, left=0.05))
    while await one.find("a"):
        await asyncio.sleep(0.01)


async def test_an_answer_that_is_too_large_is_not_kept(client: Redis) -> None:
    cache = ValkeyAnswerCache(client, uuid4().hex, max_bytes=1000)
    await cache.keep("a", CachedAnswer([TextDelta("x" * 1000)], END, 1, 60, 60))
    assert await cache.find("a") is None
    await cache.keep("a", CachedAnswer([TextDelta("x" * 500)], END, 1, 60, 60))
    assert await cache.find("a") is not None


async def test_an_answer_with_half_a_character_is_not_kept(caches: tuple[AnswerCache, AnswerCache]) -> None:
    one, _ = caches
    await one.keep("a", CachedAnswer([TextDelta("\ud83d")], END, 1, 60, 60))
    assert await one.find("a") is None


@pytest.mark.parametrize("written", ["", "{", '{"pieces": [], "end": null}', "null", "\udcff"])
async def test_what_cannot_be_read_is_no_answer(client: Redis, written: str) -> None:
    prefix = uuid4().hex
    await client.set(prefix + ":answers:{a}", written.encode(errors="surrogateescape"), px=60_000)
    assert await ValkeyAnswerCache(client, prefix, max_bytes=1000).find("a") is None


async def test_one_of_those_who_ask_at_once_gets_the_answer(caches: tuple[AnswerCache, AnswerCache]) -> None:
    claims = await asyncio.gather(*(caches[number % 2].claim("a", str(number), 60) for number in range(10)))
    assert sorted(claims) == ["granted"] + ["taken"] * 9
    assert await caches[0].claim("b", "1", 60) == "granted"


async def test_the_claim_of_a_process_that_died_is_free_after_its_time(caches: tuple[AnswerCache, AnswerCache]) -> None:
    one, two = caches
    assert await one.claim("a", "one", 0.05) == "granted"
    while (claim := await two.claim("a", "two", 60)) == "taken":
        await asyncio.sleep(0.01)
    assert claim == "granted"
    # If the first process is alive after all, it cannot take the claim back.
    await one.renew("a", "one", 0.01)
    await one.release("a", "one", call_off=True)
    assert await one.claim("a", "three", 60) == "taken"


async def test_a_claim_that_is_renewed_is_held(caches: tuple[AnswerCache, AnswerCache]) -> None:
    one, two = caches
    assert await one.claim("a", "one", 0.5) == "granted"
    await one.renew("a", "one", 60)
    await asyncio.sleep(0.6)
    assert await two.claim("a", "two", 60) == "taken"


async def test_a_claim_that_is_released_is_for_the_next(caches: tuple[AnswerCache, AnswerCache]) -> None:
    one, two = caches
    await one.claim("a", "one", 60)
    await one.release("a", "one", call_off=False)
    assert await two.claim("a", "two", 60) == "granted"


async def test_a_failed_call_leaves_nobody_waiting(caches: tuple[AnswerCache, AnswerCache]) -> None:
    one, two = caches
    await one.claim("a", "one", 60)
    await one.release("a", "one", call_off=True)
    assert await two.claim("a", "two", 60) == "off"
    while (claim := await two.claim("a", "two", 60)) == "off":
        await asyncio.sleep(0.05)
    assert claim == "granted"


async def test_a_failed_refresh_releases_the_claim(caches: tuple[AnswerCache, AnswerCache]) -> None:
    one, two = caches
    await one.keep("a", ANSWER)
    await one.claim("a", "one", 60)
    await one.release("a", "one", call_off=True)
    assert await two.claim("a", "two", 60) == "granted"


async def test_everything_is_kept_for_a_time_only(settings: Settings, client: Redis) -> None:
    cache = ValkeyAnswerCache(client, settings.valkey.prefix, max_bytes=1000)
    await cache.keep("a", ANSWER)
    await cache.claim("a", "one", 60)
    await cache.claim("b", "one", 60)
    await cache.release("b", "one", call_off=True)
    names = [name async for name in client.scan_iter(f"{settings.valkey.prefix}:*")]
    assert len(names) == 3
    assert all([await client.pttl(name) > 0 for name in names])


async def test_without_a_server_that_answers_nothing_is_found_and_nobody_waits() -> None:
    with dead_valkey() as settings, capture_logs() as logs:
        async with open_valkey(settings) as client:
            cache = open_answer_cache(AnswerCacheSettings(max_ttl=60), settings, client)
            assert cache is not None
            await cache.keep("a", ANSWER)
            assert await cache.find("a") is None
            assert await cache.claim("a", "one", 60) == "off"
            await cache.renew("a", "one", 60)
            await cache.release("a", "one", call_off=True)
    assert [each["event"] for each in logs] == ["answer_cache.unavailable"]


async def test_an_outage_is_said_once_and_answers_are_found_again_afterwards() -> None:
    async with gated_valkey() as (gate, settings), open_valkey(settings) as client:
        assert client is not None
        cache = ValkeyAnswerCache(client, uuid4().hex, max_bytes=1000, outage_seconds=0.1)
        with capture_logs() as logs:
            await cache.keep("a", ANSWER)
            gate.shut()
            assert [await cache.find("a") for _ in range(4)] == [None] * 4
            gate.is_open = True
            while (found := await cache.find("a")) is None:
                await asyncio.sleep(0.02)
        assert found.end == END
    assert [each["event"] for each in logs] == ["answer_cache.unavailable", "answer_cache.available"]
    assert "Monate" not in str(logs)


def key_of(caller: Caller, question: str) -> str:
    request = ModelRequest([Message("user", question)])
    return answer_key(request, alias="default", model=FakeLanguageModel(), checks={}, caller=caller)


async def test_the_answers_of_one_account_are_forgotten_and_those_of_others_are_not(
    settings: Settings, client: Redis
) -> None:
    ada, eve = Caller(uuid4()), Caller(uuid4())
    cache = ValkeyAnswerCache(client, settings.valkey.prefix, max_bytes=1000)
    for key in (key_of(ada, "One?"), key_of(ada, "Two?"), key_of(eve, "One?")):
        await cache.keep(key, ANSWER)
    assert await cache.claim(key_of(ada, "Three?"), "one", 60) == "granted"
    for _ in range(2):
        await cache.forget(ada.id)
        assert await cache.find(key_of(ada, "One?")) is await cache.find(key_of(ada, "Two?")) is None
    assert await cache.find(key_of(eve, "One?")) is not None
    assert await cache.claim(key_of(ada, "Three?"), "two", 60) == "granted"


async def test_answers_that_cannot_be_forgotten_are_said_to_be_out_of_reach() -> None:
    with dead_valkey() as settings:
        async with open_valkey(settings) as client:
            assert client is not None
            with pytest.raises(UnavailableError, match="Valkey does not answer"):
                await ValkeyAnswerCache(client, settings.prefix, max_bytes=1000).forget(uuid4())


async def test_nothing_is_kept_unless_it_is_configured(settings: Settings, client: Redis) -> None:
    assert open_answer_cache(AnswerCacheSettings(), settings.valkey, client) is None
    assert open_answer_cache(settings.answer_cache, ValkeySettings(), None) is None


async def test_an_answer_cache_without_a_server_is_refused_at_startup() -> None:
    with pytest.raises(StartupError, match="APP_VALKEY__URL"):
        open_answer_cache(AnswerCacheSettings(max_ttl=60), ValkeySettings(), None)
