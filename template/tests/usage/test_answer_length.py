"""The maximum answer length, which limits spending and depends on the caller's scopes."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx2
import pytest
from pydantic import ValidationError

from app.auth.caller import Scope
from app.bootstrap import Services
from app.settings import Settings
from app.usage.settings import LimitsSettings
from tests.chat.fake_provider import FakeProvider, serve_fake_provider
from tests.chat.service import provider_settings
from tests.http import Person, join
from tests.jobs.rows import QUICK

CEILINGS = {"chat": 100, "answers": 200, "extractions": 300, "account": 2000, "prompts:write": 9000}
HELLO = {"model": "default", "messages": [{"role": "user", "content": "How long is the warranty?"}]}
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
CHAT = "/v1/chat/completions"
VARIABLE = "APP_LIMITS__MAX_OUTPUT_TOKENS_BY_SCOPE"


@pytest.fixture
async def provider() -> AsyncIterator[FakeProvider]:
    """A provider whose answer fits every question of these tests."""
    async with serve_fake_provider() as fake:
        fake.answer = lambda _: '{"n": 1}'
        yield fake


@pytest.fixture
def settings(settings: Settings, provider: FakeProvider) -> Settings:
    """Settings with ceilings for the answer length."""
    limits = LimitsSettings.model_validate({"max_output_tokens_by_scope": CEILINGS})
    language_model = provider_settings(provider, "openai", "steady")
    return settings.model_copy(update={"limits": limits, "language_model": language_model, "jobs": QUICK})


def asked(provider: FakeProvider) -> list[int]:
    """Return the maximum answer length of each call."""
    return [call.body.get("max_completion_tokens") or call.body["max_tokens"] for call in provider.calls]


async def join_ada(client: httpx2.AsyncClient, services: Services, *scopes: Scope) -> Person:
    return await join(client, services, "ada@example.com", *scopes)


@pytest.mark.parametrize(
    ("scopes", "ceiling"),
    [
        ([Scope.CHAT], 100),
        ([Scope.CHAT, Scope.SEARCH], 100),
        ([Scope.CHAT, Scope.EXTRACTIONS], 300),
        ([], 2000),
        ([Scope.CHAT, Scope.PROMPTS_WRITE], 9000),
    ],
)
async def test_the_largest_ceiling_of_a_callers_scopes_counts(
    client: httpx2.AsyncClient, services: Services, provider: FakeProvider, scopes: Sequence[Scope], ceiling: int
) -> None:
    ada = await join_ada(client, services, *scopes)
    for chosen in ({}, {"max_tokens": None}, {"max_tokens": ceiling}, {"max_completion_tokens": 50}):
        assert (await ada.request("POST", CHAT, json=HELLO | chosen)).status_code == 200
    refused = await ada.request("POST", CHAT, json=HELLO | {"max_tokens": ceiling + 1})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "max_tokens")
    assert f"at most {ceiling} tokens" in refused.json()["error"]["message"]
    assert asked(provider) == [ceiling, ceiling, ceiling, 50]


async def test_conversations_respect_the_ceiling(
    client: httpx2.AsyncClient, services: Services, provider: FakeProvider
) -> None:
    ada = await join_ada(client, services, Scope.CHAT)
    path = f"/v1/conversations/{(await ada.request('POST', '/v1/conversations', json={})).json()['id']}/messages"
    assert (await ada.request("POST", path, json={"content": "Hello."})).status_code == 200
    refused = await ada.request("POST", path, json={"content": "Hello.", "max_tokens": 101})
    assert (refused.status_code, "at most 100 tokens" in refused.json()["detail"]) == (400, True)
    assert asked(provider) == [100]


async def test_answers_from_documents_respect_the_ceiling(
    client: httpx2.AsyncClient, services: Services, provider: FakeProvider
) -> None:
    everything = await join_ada(client, services)
    await everything.upload_and_index("sky.txt", b"The sky is blue at noon.")
    few = await join_ada(client, services, Scope.ANSWERS, Scope.SEARCH)
    for person in (few, everything):
        answer = await person.request("POST", "/v1/answers", json={"question": "What colour is the sky?"})
        assert answer.status_code == 200, answer.text
    assert asked(provider) == [200, 2000]


async def test_extractions_keep_to_it_and_so_does_the_job_that_a_key_has_asked_for(
    client: httpx2.AsyncClient, services: Services, provider: FakeProvider
) -> None:
    few = await join_ada(client, services, Scope.EXTRACTIONS)
    assert (await few.request("POST", "/v1/extractions", json={"text": "one", "schema": SCHEMA})).status_code == 200
    batch = {"items": ["one", "two"], "schema": SCHEMA}
    assert (await few.request("POST", "/v1/extractions/batch", json=batch)).status_code == 202
    await few.run_jobs()
    everything = await join_ada(client, services)
    body = {"text": "one", "schema": SCHEMA}
    assert (await everything.request("POST", "/v1/extractions", json=body)).status_code == 200
    assert asked(provider) == [300, 300, 300, 2000]


async def test_without_a_ceiling_of_a_scope_the_services_ceiling_applies(
    client: httpx2.AsyncClient, services: Services, settings: Settings, provider: FakeProvider
) -> None:
    settings.limits.max_output_tokens_by_scope.pop(Scope.CHAT)
    ada = await join_ada(client, services, Scope.CHAT)
    assert (await ada.request("POST", CHAT, json=HELLO)).status_code == 200
    refused = await ada.request("POST", CHAT, json=HELLO | {"max_tokens": 4097})
    assert (refused.status_code, "at most 4096 tokens" in refused.json()["error"]["message"]) == (400, True)
    assert asked(provider) == [4096]


@pytest.mark.usefixtures("settings")
@pytest.mark.parametrize(
    ("value", "told"),
    [('{"caht": 100}', "caht"), ('{"chat": 0}', "chat"), ('{"chat": null}', "chat"), ("chat=100", "limits")],
)
def test_what_is_no_scope_or_no_ceiling_is_refused_at_start_up(
    monkeypatch: pytest.MonkeyPatch, value: str, told: str
) -> None:
    monkeypatch.setenv(VARIABLE, value)
    with pytest.raises((ValidationError, ValueError), match=told):
        Settings()


@pytest.mark.usefixtures("settings")
def test_ceilings_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, '{"chat": 100, "prompts:write": 9000}')
    read: dict[Any, int] = Settings().limits.max_output_tokens_by_scope
    assert read == {Scope.CHAT: 100, Scope.PROMPTS_WRITE: 9000}
