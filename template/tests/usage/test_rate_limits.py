"""Limits on requests and tokens per minute, and the headers that report them."""

from uuid import uuid4

import httpx2
import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam
from sqlalchemy.exc import IntegrityError

from app.adapters.rate_limiter import LocalRateLimiter
from app.auth.caller import Caller
from app.bootstrap import Services
from app.database import Database
from app.settings import Settings
from app.usage.budgets import Budgets
from app.usage.measurement import Expectation
from app.usage.rate_limits import RateLimits
from app.usage.service import UsageService
from app.usage.settings import LimitsSettings, UsageSettings
from tests.adapters.valkey import dead_valkey
from tests.chat.service import run_service
from tests.http import Person, join
from tests.usage.rows import read_rows

QUESTION = {"model": "default", "messages": [{"role": "user", "content": "The sky is blue. What colour is the sky?"}]}
HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "The sky is blue. Which colour has it?"}]
TOOLS = [{"type": "function", "function": {"name": "look"}}]
CHAT = "/v1/chat/completions"


@pytest.fixture
def limits() -> dict[str, int]:
    return {"requests_per_minute": 2}


@pytest.fixture
def settings(settings: Settings, limits: dict[str, int]) -> Settings:
    """Settings with these limits."""
    return settings.model_copy(update={"limits": LimitsSettings(**limits)})


@pytest.fixture
async def ada(client: httpx2.AsyncClient, services: Services) -> Person:
    return await join(client, services, "ada@example.com")


async def test_the_request_too_many_is_refused_in_openais_shape_with_the_time_to_come_back(
    ada: Person, services: Services
) -> None:
    answers = [await ada.request("POST", CHAT, json=QUESTION) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert [answer.headers["x-ratelimit-remaining-requests"] for answer in answers] == ["1", "0", "0"]
    refused = answers[-1]
    assert 1 <= int(refused.headers["retry-after"]) <= 120
    assert refused.headers["x-ratelimit-limit-requests"] == "2"
    assert refused.headers["x-ratelimit-reset-requests"].endswith("s")
    error = refused.json()["error"]
    assert (error["type"], error["code"]) == ("rate_limit_error", "too_many_requests")
    assert "2 requests per minute" in error["message"]
    assert len(await read_rows(services.ports.database)) == 2


async def test_every_key_of_an_account_shares_and_nobody_else_does(ada: Person, services: Services) -> None:
    again = await join(ada.client, services, ada.email)
    eve = await join(ada.client, services, "eve@example.com")
    for person in (ada, again):
        assert (await person.request("POST", CHAT, json=QUESTION)).status_code == 200
    assert (await again.request("POST", CHAT, json=QUESTION)).status_code == 429
    assert (await eve.request("POST", CHAT, json=QUESTION)).status_code == 200


async def test_answers_from_documents_count_too_and_a_refused_stream_has_not_begun(ada: Person) -> None:
    await ada.upload_and_index("sky.txt", b"The sky is blue at noon.")
    body = {"question": "What colour is the sky?", "stream": True}
    answers = [await ada.request("POST", "/v1/answers", json=body) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[0].headers["x-ratelimit-remaining-requests"] == "1"
    assert answers[2].json()["code"] == "too_many_requests"


async def test_what_never_reaches_a_model_takes_no_request(ada: Person) -> None:
    for _ in range(3):
        assert (await ada.request("POST", CHAT, json=QUESTION | {"model": "none"})).status_code == 404
    assert (await ada.request("POST", CHAT, json=QUESTION)).status_code == 200


@pytest.mark.parametrize("limits", [{"tokens_per_minute": 200}])
async def test_an_answer_counts_for_the_most_it_may_be_until_it_is_known(ada: Person) -> None:
    first = await ada.request("POST", CHAT, json=QUESTION | {"max_tokens": 180})
    assert (first.status_code, int(first.headers["x-ratelimit-remaining-tokens"]) < 20) == (200, True)
    second = await ada.request("POST", CHAT, json=QUESTION | {"max_tokens": 150})
    used = first.json()["usage"]["total_tokens"]
    assert second.status_code == 200
    assert int(second.headers["x-ratelimit-remaining-tokens"]) == 200 - used - 150 - 10
    refused = await ada.request("POST", CHAT, json=QUESTION | {"max_tokens": 185})
    assert (refused.status_code, "tokens per minute" in refused.json()["error"]["message"]) == (429, True)


@pytest.mark.parametrize("limits", [{"tokens_per_minute": 100}])
async def test_a_request_that_can_never_fit_is_told_so(ada: Person) -> None:
    refused = await ada.request("POST", CHAT, json=QUESTION | {"max_tokens": 100})
    assert (refused.status_code, refused.json()["error"]["code"]) == (413, "payload_too_large")
    assert "retry-after" not in refused.headers


@pytest.mark.parametrize("limits", [{"requests_per_minute": 5, "tokens_per_minute": 200}])
async def test_what_the_model_refuses_gives_its_tokens_back(ada: Person) -> None:
    asked = QUESTION | {"max_tokens": 180}
    assert (await ada.request("POST", CHAT, json=asked | {"seed": 1, "tools": TOOLS})).status_code == 400
    assert (await ada.request("POST", CHAT, json=asked)).status_code == 200


@pytest.mark.parametrize("limits", [{}])
async def test_without_limits_there_is_nothing_to_say(ada: Person) -> None:
    answer = await ada.request("POST", CHAT, json=QUESTION)
    assert not [name for name in answer.headers if name.startswith("x-ratelimit")]


async def test_a_call_that_fails_before_it_is_let_through_costs_no_tokens(database: Database) -> None:
    limits = RateLimits(LocalRateLimiter(), LimitsSettings(tokens_per_minute=100))
    priced = UsageSettings.model_validate({"prices": {"a:model": {"input": 1, "output": 1}}})
    usage = UsageService(database, limits, Budgets(database, priced))
    nobody = Caller(uuid4())  # has no account, so reserving for them fails
    for _ in range(2):
        with pytest.raises(IntegrityError):
            await usage.admit(Expectation("chat.completions", "a:model", 60, 0), caller=nobody)


async def test_the_stream_and_openais_own_client_say_it_too(settings: Settings) -> None:
    with dead_valkey() as nowhere:
        alone = settings.model_copy(update={"valkey": nowhere})
        async with run_service(alone, settings.language_model) as service, service.client() as client:
            ask = client.chat.completions.with_raw_response.create
            begun = await ask(model="default", messages=HELLO, stream=True)
            assert begun.headers["x-ratelimit-remaining-requests"] == "1"
            await ask(model="default", messages=HELLO)
            with pytest.raises(openai.RateLimitError) as caught:
                await ask(model="default", messages=HELLO)
    assert caught.value.code == "too_many_requests"
