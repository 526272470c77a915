"""A turn locks its conversation until it ends, and a repeated idempotency key asks the model only once."""

import asyncio
import json
from uuid import UUID

import pytest

from app.settings import Settings
from tests.chat.fake_provider import FakeProvider
from tests.chat.service import RunningService, provider_settings, run_service
from tests.conversations.talk import ANSWER, BEGUN, Talk, either, expire, parse, text_of


@either
@pytest.mark.parametrize("model", ["slow"])
async def test_of_many_turns_at_once_one_is_taken(talk: Talk, provider: FakeProvider, *, stream: bool) -> None:
    asking = [asyncio.create_task(talk.say(f"Question {number}?", stream=stream)) for number in range(8)]
    async with asyncio.timeout(10):
        while sum(task.done() for task in asking) < len(asking) - 1:
            await asyncio.sleep(0.01)
    provider.go.set()
    responses = await asyncio.gather(*asking)
    assert sorted(response.status_code for response in responses) == [200, *[409] * 7]
    assert [message["role"] for message in await talk.messages()] == ["user", "assistant"]
    assert (await talk.say("And now?")).status_code == 200


@pytest.mark.parametrize("model", ["slow"])
@pytest.mark.usefixtures("first_bytes_soon")
async def test_an_answer_under_way_cannot_be_resumed_yet(talk: Talk, provider: FakeProvider) -> None:
    body = {"content": "How long?", "stream": True}
    async with talk.client.stream("POST", f"{talk.path}/messages", json=body) as response:
        lines = response.aiter_lines()
        async for line in lines:
            if line.startswith("data: "):
                break
        answer_id = json.loads(line.removeprefix("data: "))["answer_id"]
        assert (await talk.resume(answer_id)).status_code == 409
        provider.go.set()
        assert "event: done" in [line async for line in lines]
    assert text_of(parse((await talk.resume(answer_id)).text)) == ANSWER


async def test_a_process_that_died_holds_its_conversation_for_a_while_only(talk: Talk, service: RunningService) -> None:
    caller = await service.services.auth.ensure_account("ada@example.com")
    conversation_id = UUID(talk.path.rpartition("/")[2])
    dead = await service.services.turns.begin(conversation_id, "Lost?", caller=caller)
    assert (await talk.say("Hello?")).status_code == 409
    await expire(service.services.ports.database)
    assert (await talk.resume(str(dead.answer_id))).status_code == 404
    assert (await talk.say("Hello?")).status_code == 200
    assert [message["content"] for message in await talk.messages()] == ["Lost?", "Hello?", ANSWER]


@pytest.mark.parametrize("model", ["slow"])
async def test_a_turn_that_lost_its_conversation_to_another_one_stores_nothing(
    talk: Talk, service: RunningService, provider: FakeProvider
) -> None:
    late = asyncio.create_task(talk.say("First?"))
    await asyncio.wait_for(provider.called.wait(), 10)
    await expire(service.services.ports.database)
    newer = asyncio.create_task(talk.say("Second?"))
    async with asyncio.timeout(10):
        while len(provider.calls) < 2:
            await asyncio.sleep(0.01)
    provider.go.set()
    assert [(await asking).status_code for asking in (late, newer)] == [409, 200]
    assert [message["content"] for message in await talk.messages()] == ["First?", "Second?", ANSWER]


@pytest.mark.parametrize("model", ["slow"])
async def test_an_answer_to_a_deleted_conversation_is_not_kept(talk: Talk, provider: FakeProvider) -> None:
    asking = asyncio.create_task(talk.say("How long?"))
    await asyncio.wait_for(provider.called.wait(), 10)
    assert (await talk.client.delete(talk.path)).status_code == 204
    provider.go.set()
    assert (await asking).status_code == 409


async def test_a_repeated_key_gives_the_first_answer_whole_or_as_events(talk: Talk, provider: FakeProvider) -> None:
    first = (await talk.say("How long?", key="k1")).json()
    assert (await talk.say("How long?", key="k1")).json() == first
    events = parse((await talk.say("How long?", key="k1", stream=True)).text)
    assert [event.name for event in events] == ["turn", "token", "done"]
    assert (events[0].data["answer_id"], events[-1].data) == (first["id"], first)
    assert len(provider.calls) == 1
    assert len(await talk.messages()) == 2


async def test_a_repeated_key_has_a_lost_answer_written(talk: Talk, service: RunningService) -> None:
    caller = await service.services.auth.ensure_account("ada@example.com")
    conversation_id = UUID(talk.path.rpartition("/")[2])
    await service.services.turns.begin(conversation_id, "Lost?", idempotency_key="k1", caller=caller)
    assert (await talk.say("Lost?", key="k1")).status_code == 409
    await expire(service.services.ports.database)
    assert (await talk.say("Lost?", key="k1")).status_code == 200
    assert [message["content"] for message in await talk.messages()] == ["Lost?", ANSWER]


@either
@pytest.mark.parametrize("model", ["cuts"])
async def test_a_repeat_that_is_refused_leaves_what_was_stored_until_one_is_answered(
    settings: Settings, provider: FakeProvider, talk: Talk, *, stream: bool
) -> None:
    assert (await talk.say("How long?", key="k1")).status_code == 502
    stored = await talk.messages()
    too_long = await talk.say("How long?", key="k1", stream=stream, max_tokens=1_000_000)
    assert (too_long.status_code, too_long.json()["code"]) == (400, "unsupported_parameter")
    assert [(each["content"], each["finish_reason"]) for each in stored] == [("How long?", None), (BEGUN, "failed")]
    assert await talk.messages() == stored
    async with run_service(settings, provider_settings(provider, "openai", "steady")) as mended:
        talk.client.base_url = mended.url
        assert (await talk.say("How long?", key="k1", stream=stream)).status_code == 200
        question, answer = await talk.messages()
    assert (question["id"], question["answer_id"], answer["content"]) == (stored[0]["id"], answer["id"], ANSWER)
    assert [message["content"] for message in provider.calls[-1].body["messages"]] == ["Be brief.", "How long?"]


@either
@pytest.mark.parametrize("model", ["cuts"])
async def test_a_repeat_that_says_nothing_leaves_the_half_answer_until_one_is_better(
    settings: Settings, provider: FakeProvider, talk: Talk, request: pytest.FixtureRequest, *, stream: bool
) -> None:
    assert (await talk.say("How long?", key="k1")).status_code == 502
    stored = await talk.messages()
    async with run_service(settings, provider_settings(provider, "openai", "status-503")) as away:
        talk.client.base_url = away.url
        assert (await talk.say("How long?", key="k1", stream=stream)).status_code == 503
        assert await talk.messages() == stored
    request.getfixturevalue("first_bytes_soon")  # not before: a late refusal could no longer set the status
    async with run_service(settings, provider_settings(provider, "openai", "mute")) as silent:
        talk.client.base_url = silent.url
        provider.called.clear()
        asking = asyncio.create_task(talk.say("How long?", key="k1", stream=stream))
        await asyncio.wait_for(provider.called.wait(), 10)
        asking.cancel()
        await asyncio.wait_for(provider.client_left.wait(), 10)
    async with run_service(settings, provider_settings(provider, "openai", "steady")) as mended:
        talk.client.base_url = mended.url
        assert await talk.messages() == stored
        assert (await talk.say("How long?", key="k1", stream=stream)).status_code == 200
        assert [message["content"] for message in await talk.messages()] == ["How long?", ANSWER]


@pytest.mark.parametrize("model", ["cuts"])
async def test_a_repeated_key_has_a_failed_answer_written_anew_unless_the_conversation_has_gone_on(
    settings: Settings, provider: FakeProvider, talk: Talk
) -> None:
    assert (await talk.say("One?", key="k1")).status_code == 502
    async with run_service(settings, provider_settings(provider, "openai", "steady")) as mended:
        talk.client.base_url = mended.url
        assert (await talk.say("One?", key="k1")).status_code == 200
        assert [message["content"] for message in await talk.messages()] == ["One?", ANSWER]
    async with run_service(settings, provider_settings(provider, "openai", "cuts")) as broken:
        talk.client.base_url = broken.url
        assert (await talk.say("Two?", key="k2")).status_code == 502
        assert (await talk.say("Three?")).status_code == 502
        assert (await talk.say("Two?", key="k2")).status_code == 409
    assert [call.body["messages"][-1]["content"] for call in provider.calls] == ["One?", "One?", "Two?", "Three?"]
