"""Turns: every message is stored and sent with the next turn, however a turn ends."""

import asyncio

import httpx2
import pytest

from app.settings import Settings
from tests.chat.fake_provider import FakeProvider
from tests.chat.service import provider_settings, run_service
from tests.conversations.talk import ANSWER, BEGUN, Talk, either, parse, text_of


async def test_the_model_is_sent_what_was_said_before(talk: Talk, provider: FakeProvider) -> None:
    first = (await talk.say("How long is the warranty?")).json()
    assert (first["role"], first["content"], first["finish_reason"]) == ("assistant", ANSWER, "stop")
    assert first["usage"] == {"input_tokens": 11, "output_tokens": 7}
    await talk.say("And the cable?", max_tokens=5, temperature=0)
    sent = provider.calls[-1].body
    assert [(message["role"], message["content"]) for message in sent["messages"]] == [
        ("system", "Be brief."),
        ("user", "How long is the warranty?"),
        ("assistant", ANSWER),
        ("user", "And the cable?"),
    ]
    assert sent["temperature"] == 0
    assert 5 in (sent.get("max_tokens"), sent.get("max_completion_tokens"))


async def test_what_was_said_is_listed_page_by_page_newest_first(talk: Talk) -> None:
    for content in ("One?", "Two?"):
        await talk.say(content)
    page = (await talk.client.get(f"{talk.path}/messages", params={"limit": 3})).json()
    cursor = page["next_cursor"]
    rest = (await talk.client.get(f"{talk.path}/messages", params={"limit": 3, "cursor": cursor})).json()
    assert [each["content"] for each in page["items"] + rest["items"]] == [ANSWER, "Two?", ANSWER, "One?"]
    assert page["items"][1]["answer_id"] == page["items"][0]["id"]


async def test_a_streamed_turn_is_stored_as_it_was_sent(talk: Talk) -> None:
    response = await talk.say("How long?", stream=True)
    events = parse(response.text)
    question, answer = await talk.messages()
    assert response.headers["content-type"].startswith("text/event-stream")
    assert events[0].data == {"question_id": question["id"], "answer_id": answer["id"]}
    assert text_of(events) == ANSWER
    assert (events[-1].name, events[-1].data) == ("done", answer)
    seen = 0
    for event in events[1:-1]:
        seen += len(event.data["text"])
        assert event.id == seen


async def test_a_lost_stream_is_read_on_from_any_character(talk: Talk) -> None:
    answer = (await talk.say("How long?")).json()
    whole = parse((await talk.resume(answer["id"])).text)
    assert text_of(whole) == ANSWER
    for position in (0, 1, 5, len(ANSWER), len(ANSWER) + 9):
        response = await talk.resume(answer["id"], position)
        assert response.headers["content-type"].startswith("text/event-stream")
        events = parse(response.text)
        assert text_of(events) == ANSWER[position:]
        assert (events[-1].name, events[-1].data) == ("done", answer)
    question = (await talk.messages())[0]
    assert (await talk.resume(question["id"])).status_code == 404
    nonsense = {"Last-Event-ID": "first"}
    path = f"{talk.path}/messages/{answer['id']}/events"
    assert (await talk.client.get(path, headers=nonsense)).status_code == 422


@either
@pytest.mark.parametrize("model", ["cuts", "garbled", "unfinished", "breaks"])
async def test_what_a_failed_model_wrote_is_kept(talk: Talk, *, stream: bool) -> None:
    response = await talk.say("How long?", stream=stream)
    question, answer = await talk.wait_for(2)
    assert question["content"] == "How long?"
    assert (answer["finish_reason"], answer["usage"]) == ("failed", None)
    assert answer["content"].startswith(BEGUN)
    if stream:
        events = parse(response.text)
        assert (text_of(events), events[-1].name) == (answer["content"], "error")
    else:
        assert response.is_server_error
    resumed = parse((await talk.resume(answer["id"], 3)).text)
    assert (text_of(resumed), resumed[-1].name) == (answer["content"][3:], "error")
    assert resumed[-1].data["code"] == "upstream_failed"


@either
@pytest.mark.parametrize("model", ["status-503"])
async def test_a_model_that_says_nothing_leaves_its_status_and_the_question(talk: Talk, *, stream: bool) -> None:
    response = await talk.say("How long?", stream=stream)
    assert response.status_code == 503
    question, answer = await talk.wait_for(2)
    assert (question["content"], answer["content"], answer["finish_reason"]) == ("How long?", "", "failed")


@either
@pytest.mark.parametrize("model", ["status-400"])
async def test_what_is_refused_leaves_nothing(talk: Talk, *, stream: bool) -> None:
    response = await talk.say("How long?", stream=stream)
    assert (response.status_code, response.json()["code"]) == (400, "refused_by_model")
    too_long = await talk.say("How long?", stream=stream, max_tokens=1_000_000)
    assert (too_long.status_code, too_long.json()["code"]) == (400, "unsupported_parameter")
    assert await talk.messages() == []


@pytest.mark.parametrize(("model", "guardrails"), [("pauses", {"banned_phrases": ["[1]"]})])
async def test_an_answer_that_a_guardrail_cuts_short_says_so_whenever_it_is_read(
    talk: Talk, provider: FakeProvider
) -> None:
    body = {"content": "How long?", "stream": True}
    async with talk.client.stream("POST", f"{talk.path}/messages", json=body) as response:
        async for line in response.aiter_lines():
            if "Twenty-four" in line:
                provider.go.set()
    _, answer = await talk.wait_for(2)
    assert answer["finish_reason"] == "refused"
    resumed = parse((await talk.resume(answer["id"])).text)
    assert (text_of(resumed), resumed[-1].name) == (answer["content"], "error")
    assert resumed[-1].data["code"] == "guardrail_refused"


@pytest.mark.parametrize("model", ["stalls"])
async def test_a_reader_that_leaves_stops_the_model_and_what_it_wrote_is_kept_and_sent_along(
    talk: Talk, provider: FakeProvider
) -> None:
    body = {"content": "How long?", "stream": True}
    async with talk.client.stream("POST", f"{talk.path}/messages", json=body) as response:
        async for line in response.aiter_lines():
            if "months" in line:
                break
    await asyncio.wait_for(provider.client_left.wait(), 10)
    _, answer = await talk.wait_for(2)
    assert (answer["content"], answer["finish_reason"]) == (BEGUN, "cancelled")
    events = parse((await talk.resume(answer["id"], 6)).text)
    assert (text_of(events), events[-1].name, events[-1].data["code"]) == (BEGUN[6:], "error", "conflict")
    again = asyncio.create_task(talk.say("And now?"))
    async with asyncio.timeout(10):
        while len(provider.calls) < 2:
            await asyncio.sleep(0.01)
    again.cancel()
    sent = [message["content"] for message in provider.calls[-1].body["messages"]]
    assert sent == ["Be brief.", "How long?", BEGUN, "And now?"]
    assert [each["finish_reason"] for each in await talk.wait_for(4)][-1] == "cancelled"


@pytest.mark.parametrize("model", ["mute"])
async def test_a_client_that_leaves_a_whole_answer_stops_the_model(talk: Talk, provider: FakeProvider) -> None:
    asking = asyncio.create_task(talk.say("How long?"))
    await asyncio.wait_for(provider.called.wait(), 10)
    asking.cancel()
    await asyncio.wait_for(provider.client_left.wait(), 10)
    _, answer = await talk.wait_for(2)
    assert (answer["content"], answer["finish_reason"]) == ("", "cancelled")


async def test_a_message_that_does_not_fit_beside_the_system_prompt_is_refused(
    settings: Settings, provider: FakeProvider
) -> None:
    small = settings.model_copy(
        update={"conversations": settings.conversations.model_copy(update={"context_tokens": 100})}
    )
    async with run_service(small, provider_settings(provider, "openai", "steady")) as service:
        headers = {"Authorization": f"Bearer {service.key}"}
        async with httpx2.AsyncClient(base_url=service.url, headers=headers) as client:
            created = (await client.post("/v1/conversations", json={})).json()
            talk = Talk(client, f"/v1/conversations/{created['id']}")
            assert (await talk.say("x" * 401)).status_code == 422
            assert await talk.messages() == []
            assert (await talk.say("x" * 400)).status_code == 200
