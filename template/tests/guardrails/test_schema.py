"""The `schema` guardrail: answers must fit the JSON Schema of their request."""

from typing import Any

import httpx2
import pytest

from app.bootstrap import Services
from tests.chat.fake_provider import FakeProvider
from tests.guardrails.test_reviews import in_review
from tests.http import Person
from tests.usage.rows import read_rows

CHECKED = {"output": {"schema": "refuse"}}
SCHEMA = {"type": "object", "properties": {"total": {"type": "number"}}, "required": ["total"]}
NAMED = {"type": "json_schema", "json_schema": {"name": "invoice", "schema": SCHEMA}}
FITS = '{"total": 84.5}'
DOES_NOT = '{"total": "a lot"}'


async def ask(person: Person, wanted: dict[str, Any] | None = NAMED, *, stream: bool = False) -> httpx2.Response:
    messages = [{"role": "user", "content": "Invoice 2041: two lamps, 84.50 in total."}]
    body = {"model": "default", "messages": messages, "response_format": wanted, "stream": stream}
    return await person.request("POST", "/v1/chat/completions", json=body)


@pytest.mark.parametrize("guardrails", [CHECKED])
@pytest.mark.parametrize(
    ("wanted", "answer", "fault"),
    [
        (NAMED, FITS, None),
        (NAMED, DOES_NOT, "$.total does not fit"),
        (NAMED, "{}", "$ does not fit"),
        (NAMED, "The total is 84.50.", "$ is not JSON"),
        (NAMED, f"```json\n{FITS}\n```", "$ is not JSON"),
        (NAMED, "NaN", "$ is not JSON"),
        ({"type": "json_object"}, "{}", None),
        ({"type": "json_object"}, "[]", "$ does not fit"),
        ({"type": "text"}, "The total is 84.50.", None),
        (None, "The total is 84.50.", None),
    ],
)
async def test_an_answer_that_is_not_what_was_asked_for_is_refused_without_a_word_of_it(
    ada: Person, provider: FakeProvider, wanted: dict[str, Any] | None, answer: str, fault: str | None
) -> None:
    provider.answer = lambda _: answer
    response = await ask(ada, wanted)
    if fault is None:
        assert response.json()["choices"][0]["message"]["content"] == answer
        return
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (400, "content_filter")
    assert error["message"] == f"The guardrail `schema` refuses this answer: {fault}."


@pytest.mark.parametrize("guardrails", [CHECKED])
async def test_a_stream_ends_with_the_refusal_and_is_paid_for(
    ada: Person, provider: FakeProvider, services: Services
) -> None:
    provider.answer = lambda _: DOES_NOT
    response = await ask(ada, stream=True)
    assert response.status_code == 200
    assert "content_filter" in response.text
    assert "[DONE]" not in response.text
    [row] = await read_rows(services.ports.database)
    assert (row.finish_reason, row.output_tokens > 0) == ("stop", True)


@pytest.mark.parametrize("guardrails", [CHECKED])
@pytest.mark.parametrize("schema", [{"type": "objects"}, {"type": "object", "$ref": "https://example.com/schema"}])
async def test_a_schema_that_is_none_is_refused_before_a_model_is_asked(
    ada: Person, provider: FakeProvider, schema: dict[str, Any]
) -> None:
    response = await ask(ada, {"type": "json_schema", "json_schema": {"name": "invoice", "schema": schema}})
    assert (response.status_code, response.json()["error"]["param"]) == (400, "response_format")
    assert not provider.calls


async def test_unless_set_the_provider_is_trusted(ada: Person, provider: FakeProvider) -> None:
    provider.answer = lambda _: DOES_NOT
    assert (await ask(ada)).json()["choices"][0]["message"]["content"] == DOES_NOT


@pytest.mark.parametrize("guardrails", [{"output": {"schema": "review"}}])
async def test_a_reviewer_sees_what_did_not_fit(ada: Person, provider: FakeProvider) -> None:
    provider.answer = lambda _: DOES_NOT
    item = await in_review(ada, await ask(ada))
    assert (item["kind"], item["output"]) == ("guardrail", DOES_NOT)


@pytest.mark.parametrize("guardrails", [CHECKED])
async def test_extractions_have_their_own_way_with_what_does_not_fit(ada: Person, provider: FakeProvider) -> None:
    answers = iter([DOES_NOT, FITS])
    provider.answer = lambda _: next(answers)
    response = await ada.request("POST", "/v1/extractions", json={"text": "84.50 in total", "schema": SCHEMA})
    assert response.json()["data"] == {"total": 84.5}
