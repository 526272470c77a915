"""The contract of rate limiters: in one process, with Valkey, and during an outage of Valkey."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

from app.adapters.rate_limiter import LocalRateLimiter, ValkeyRateLimiter, open_rate_limiter
from app.adapters.valkey import ValkeySettings, open_valkey
from app.settings import Settings
from app.usage.ports import RateLimiter
from app.usage.quotas import Charge, Quota
from tests.adapters.valkey import dead_valkey, gated_valkey

REQUESTS = Quota("requests", 3)
TOKENS = Quota("tokens", 100)
ONE = Charge(REQUESTS, 1)


@pytest.fixture
def local() -> RateLimiter:
    return open_rate_limiter(ValkeySettings(), None)


@pytest.fixture
async def shared(settings: Settings) -> AsyncIterator[RateLimiter]:
    async with open_valkey(settings.valkey) as client:
        assert client is not None
        yield open_rate_limiter(settings.valkey, client)


@pytest.fixture
async def cut_off() -> AsyncIterator[RateLimiter]:
    with dead_valkey() as nowhere:
        async with open_valkey(nowhere) as client:
            yield open_rate_limiter(nowhere, client)


@pytest.fixture(params=["local", "shared", "cut_off"])
def limiter(request: pytest.FixtureRequest) -> RateLimiter:
    chosen: RateLimiter = request.getfixturevalue(request.param)
    return chosen


async def test_so_many_are_let_through_and_no_more(limiter: RateLimiter) -> None:
    assert [(await limiter.take("ada", [ONE])).allowed for _ in range(4)] == [True, True, True, False]
    [level] = (await limiter.take("ada", [ONE])).levels
    assert level.remaining == 0
    assert 0 < level.seconds_until(1) <= 120


async def test_owners_do_not_touch_each_other(limiter: RateLimiter) -> None:
    for _ in range(3):
        await limiter.take("ada", [ONE])
    assert (await limiter.take("eve", [ONE])).allowed


async def test_charges_are_taken_together_or_not_at_all(limiter: RateLimiter) -> None:
    refused = await limiter.take("ada", [ONE, Charge(TOKENS, 101)])
    assert not refused.allowed
    assert [level.remaining for level in refused.levels] == [3, 100]
    taken = await limiter.take("ada", [ONE, Charge(TOKENS, 100)])
    assert taken.allowed
    assert [level.remaining for level in taken.levels] == [2, 0]


async def test_what_was_not_needed_is_free_again(limiter: RateLimiter) -> None:
    taken = await limiter.take("ada", [Charge(TOKENS, 100)])
    await limiter.correct("ada", TOKENS, taken, -60)
    assert (await limiter.take("ada", [Charge(TOKENS, 60)])).allowed


async def test_what_was_needed_beyond_counts_too(limiter: RateLimiter) -> None:
    taken = await limiter.take("ada", [Charge(TOKENS, 10)])
    await limiter.correct("ada", TOKENS, taken, 190)
    assert not (await limiter.take("ada", [Charge(TOKENS, 1)])).allowed


async def test_a_correction_never_makes_more_than_the_quota(limiter: RateLimiter) -> None:
    taken = await limiter.take("ada", [Charge(TOKENS, 10)])
    await limiter.correct("ada", TOKENS, taken, -1000)
    assert not (await limiter.take("ada", [Charge(TOKENS, 101)])).allowed


async def test_who_was_never_counted_is_not_corrected(limiter: RateLimiter) -> None:
    taken = await limiter.take("ada", [Charge(TOKENS, 10)])
    await limiter.correct("eve", TOKENS, taken, 100)
    assert (await limiter.take("eve", [Charge(TOKENS, 100)])).allowed


async def test_those_who_come_at_the_same_moment_get_no_more(limiter: RateLimiter) -> None:
    quota = Quota("requests", 20)
    taken = await asyncio.gather(*(limiter.take("ada", [Charge(quota, 1)]) for _ in range(60)))
    assert sum(each.allowed for each in taken) == 20


async def test_the_processes_count_together(settings: Settings) -> None:
    async with open_valkey(settings.valkey) as one, open_valkey(settings.valkey) as two:
        limiters = [open_rate_limiter(settings.valkey, one), open_rate_limiter(settings.valkey, two)]
        taken = await asyncio.gather(*(limiters[number % 2].take("ada", [ONE]) for number in range(10)))
    assert sum(each.allowed for each in taken) == 3


@pytest.mark.parametrize("kind", ["local", "shared"])
async def test_when_the_window_has_passed_there_is_room_again(settings: Settings, kind: str) -> None:
    async with open_valkey(settings.valkey) as client:
        assert client is not None
        short = 0.2
        limiter = LocalRateLimiter(short) if kind == "local" else ValkeyRateLimiter(client, uuid4().hex, short)
        taken = await limiter.take("ada", [Charge(REQUESTS, 3)])
        while not (again := await limiter.take("ada", [Charge(REQUESTS, 3)])).allowed:
            await asyncio.sleep(0.02)
        assert again.window > taken.window
        # Charges outside the window are not corrected.
        await limiter.correct("ada", REQUESTS, taken, -3)
        assert again.levels[0].remaining == 0


async def test_an_outage_is_said_once_and_the_count_is_common_again_afterwards() -> None:
    async with gated_valkey() as (gate, settings), open_valkey(settings) as client:
        assert client is not None
        limiter = ValkeyRateLimiter(client, uuid4().hex, outage_seconds=0.1)
        with capture_logs() as logs:
            assert not (await limiter.take("ada", [ONE])).alone
            gate.shut()
            alone = [await limiter.take("ada", [ONE]) for _ in range(4)]
            assert [(each.alone, each.allowed) for each in alone] == [(True, each < 3) for each in range(4)]
            gate.is_open = True
            while (again := await limiter.take("ada", [ONE])).alone:
                await asyncio.sleep(0.02)
        assert again.levels[0].remaining == 1
    assert [each["event"] for each in logs] == ["rate_limiter.unavailable", "rate_limiter.available"]
