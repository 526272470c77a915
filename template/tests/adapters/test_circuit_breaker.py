"""The contract of circuit breakers, in memory and in Valkey."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from itertools import chain
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

from app.adapters.circuit_breaker import CircuitBreakerSettings, ValkeyCircuitBreaker, open_circuit_breaker
from app.adapters.valkey import ValkeySettings, open_valkey
from app.chat.circuits import CircuitBreaker
from tests.adapters.valkey import gated_valkey

SETTINGS = CircuitBreakerSettings(failures=3, window=60, pause=60)
IMPATIENT = CircuitBreakerSettings(failures=1, window=60, pause=0.05)
KINDS = ("local", "valkey", "valkey that is down")


def close_all(writers: list[asyncio.StreamWriter]) -> None:
    for writer in writers:
        writer.close()


class Opener:
    """Opens circuit breakers of one kind; those in Valkey share their state."""

    def __init__(self, kind: str, stack: AsyncExitStack) -> None:
        self.kind = kind
        self._stack = stack
        self._prefix = f"test-{uuid4().hex[:12]}"

    async def open(self, settings: CircuitBreakerSettings) -> CircuitBreaker:
        """Open another circuit breaker."""
        urls = {"local": None, "valkey": os.environ["APP_VALKEY__URL"], "valkey that is down": "redis://127.0.0.1:1/0"}
        url = urls[self.kind] if self.kind in urls else await self._listen_in_silence()
        connection = ValkeySettings.model_validate({"url": url, "prefix": self._prefix})
        client = await self._stack.enter_async_context(open_valkey(connection))
        return open_circuit_breaker(settings, client, connection.prefix)

    async def _listen_in_silence(self) -> str:
        writers: list[asyncio.StreamWriter] = []
        server = await asyncio.start_server(lambda _, writer: writers.append(writer), "127.0.0.1", 0)
        self._stack.callback(server.close)
        self._stack.callback(close_all, writers)
        return f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"


@pytest.fixture(params=KINDS)
async def opener(request: pytest.FixtureRequest) -> AsyncIterator[Opener]:
    async with AsyncExitStack() as stack:
        yield Opener(request.param, stack)


async def fail(breaker: CircuitBreaker, times: int, model: str = "a") -> list[bool]:
    return [await breaker.note_failure(model) for _ in range(times)]


async def test_a_circuit_opens_with_so_many_failures_and_says_when_to_come_back(opener: Opener) -> None:
    breaker = await opener.open(SETTINGS)
    assert await fail(breaker, 2) == [False, False]
    assert (await breaker.admit("a")).state == "closed"
    assert await fail(breaker, 1) == [True]
    circuit = await breaker.admit("a")
    assert circuit.state == "open"
    assert 0 < circuit.retry_after <= 60


async def test_models_have_circuits_of_their_own(opener: Opener) -> None:
    breaker = await opener.open(SETTINGS)
    await fail(breaker, 3)
    assert (await breaker.look("a")).state == "open"
    assert (await breaker.look("b")).state == "closed"


async def test_failures_outside_the_window_are_forgotten(opener: Opener) -> None:
    breaker = await opener.open(CircuitBreakerSettings(failures=2, window=0.02))
    await fail(breaker, 1)
    await asyncio.sleep(0.05)
    assert await fail(breaker, 1) == [False]


async def test_after_the_pause_one_alone_may_try(opener: Opener) -> None:
    breaker = await opener.open(IMPATIENT)
    await fail(breaker, 1)
    while (await breaker.look("a")).state != "half_open":
        await asyncio.sleep(0.01)
    patient = await opener.open(SETTINGS) if opener.kind == "valkey" else breaker
    states = [(await patient.admit("a")).state for _ in range(2)]
    assert states == ["half_open", "open"]


async def test_a_trial_that_is_given_back_is_the_next_one_s(opener: Opener) -> None:
    breaker = await opener.open(IMPATIENT)
    await fail(breaker, 1)
    while (await breaker.look("a")).state != "half_open":
        await asyncio.sleep(0.01)
    patient = await opener.open(SETTINGS) if opener.kind == "valkey" else breaker
    assert (await patient.admit("a")).state == "half_open"
    await patient.give_back("a")
    assert (await patient.look("a")).state == "half_open"


async def test_there_may_be_no_trial_to_give_back(opener: Opener) -> None:
    breaker = await opener.open(SETTINGS)
    await fail(breaker, 2)
    await breaker.give_back("a")
    assert (await breaker.look("a")).state == "closed"


async def test_a_trial_that_fails_begins_another_pause(opener: Opener) -> None:
    breaker = await opener.open(IMPATIENT)
    await fail(breaker, 1)
    while (await breaker.admit("a")).state != "half_open":
        await asyncio.sleep(0.01)
    assert await fail(breaker, 1) == [True]
    assert (await breaker.look("a")).state != "closed"


async def test_closing_forgets_what_was(opener: Opener) -> None:
    breaker = await opener.open(SETTINGS)
    await fail(breaker, 3)
    await breaker.close("a")
    assert (await breaker.admit("a")).state == "closed"
    assert await fail(breaker, 2) == [False, False]


@pytest.mark.parametrize("opener", ["valkey"], indirect=True)
async def test_processes_share_what_they_know(opener: Opener) -> None:
    one, two = await opener.open(SETTINGS), await opener.open(SETTINGS)
    failures = await asyncio.gather(fail(one, 2), fail(two, 2))
    assert sorted(chain(*failures)) == [False, False, True, True]
    assert [(await each.look("a")).state for each in (one, two)] == ["open", "open"]
    await two.close("a")
    assert (await one.admit("a")).state == "closed"


@pytest.mark.parametrize("opener", ["valkey"], indirect=True)
async def test_a_trial_is_given_to_one_of_those_who_ask_at_once(opener: Opener) -> None:
    breaker = await opener.open(IMPATIENT)
    await fail(breaker, 1)
    while (await breaker.look("a")).state != "half_open":
        await asyncio.sleep(0.01)
    patient = [await opener.open(SETTINGS) for _ in range(4)]
    circuits = await asyncio.gather(*(each.admit("a") for each in patient))
    assert sorted(circuit.state for circuit in circuits) == ["half_open", "open", "open", "open"]


@pytest.mark.parametrize("opener", ["valkey that is down", "valkey that is silent"], indirect=True)
async def test_that_the_server_is_out_of_reach_is_said_once(opener: Opener) -> None:
    breaker = await opener.open(SETTINGS)
    with capture_logs() as logs:
        await fail(breaker, 3)
        await breaker.admit("a")
    assert [entry["event"] for entry in logs] == ["circuit_breaker.unavailable"]


async def test_after_an_outage_what_the_processes_share_counts_again() -> None:
    async with gated_valkey() as (gate, settings), open_valkey(settings) as client:
        assert client is not None
        breaker = ValkeyCircuitBreaker(client, uuid4().hex, SETTINGS, outage_seconds=0.1)
        with capture_logs() as logs:
            await fail(breaker, 3)
            gate.shut()
            assert (await breaker.look("a")).state == "closed"
            gate.is_open = True
            while (await breaker.look("a")).state != "open":
                await asyncio.sleep(0.02)
    assert [entry["event"] for entry in logs] == ["circuit_breaker.unavailable", "circuit_breaker.available"]
