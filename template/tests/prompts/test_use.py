"""Answers and conversations with stored prompts, which their usage records name."""

from typing import Any

import httpx2
import pytest
from sqlalchemy import text

from app.auth.caller import Scope
from app.bootstrap import Services
from tests.http import Person, join
from tests.usage.rows import read_rows

ACME = {"name": "support", "variables": {"company": "Acme"}}


@pytest.fixture
async def operator(client: httpx2.AsyncClient, services: Services) -> Person:
    """An operator who has written two versions of a prompt with a variable and activated the first."""
    person = await join(client, services, "op@example.com", *Scope)
    for body in ("Work for {company}.", "Work for {company}, briefly."):
        draft = {"name": "support", "text": body, "variables": ["company"]}
        assert (await person.request("POST", "/v1/prompts", json=draft)).status_code == 201
    await person.request("POST", "/v1/prompts/support/versions/1/activate")
    return person


@pytest.fixture
async def ada(operator: Person) -> Person:
    return await join(operator.client, operator.services, "ada@example.com")


async def begin(person: Person, **prompt: object) -> httpx2.Response:
    return await person.request("POST", "/v1/conversations", json={"prompt": ACME | prompt})


async def test_a_conversation_keeps_the_prompt_that_it_was_begun_with(ada: Person, operator: Person) -> None:
    created = (await begin(ada)).json()
    assert (created["system"], created["prompt_name"], created["prompt_version"]) == ("Work for Acme.", "support", 1)
    await operator.request("POST", "/v1/prompts/support/versions/2/activate")
    path = f"/v1/conversations/{created['id']}"
    answer = (await ada.request("POST", f"{path}/messages", json={"content": "Hello."})).json()
    assert (answer["prompt_name"], answer["prompt_version"]) == ("support", 1)
    assert (await ada.request("GET", path)).json()["system"] == "Work for Acme."
    assert (await begin(ada)).json()["system"] == "Work for Acme, briefly."
    assert (await begin(ada, version=1)).json()["system"] == "Work for Acme."


async def test_an_answer_is_recorded_with_its_prompt(ada: Person, services: Services) -> None:
    await ada.upload_and_index("sky.txt", b"The sky is blue at noon.")
    question: dict[str, Any] = {"question": "What colour is the sky?"}
    for body in (question, question | {"prompt": ACME}):
        assert (await ada.request("POST", "/v1/answers", json=body)).status_code == 200
    rows = await read_rows(services.ports.database)
    assert [(row.prompt_name, row.prompt_version) for row in rows] == [(None, None), ("support", 1)]


async def test_the_active_prompt_of_answers_is_used_unasked(ada: Person, operator: Person, services: Services) -> None:
    await ada.upload_and_index("sky.txt", b"The sky is blue at noon.")
    await operator.request("POST", "/v1/prompts", json={"name": "answers", "text": "Answer in verse."})
    await operator.request("POST", "/v1/prompts/answers/versions/1/activate")
    assert (await ada.request("POST", "/v1/answers", json={"question": "What colour is the sky?"})).status_code == 200
    [row] = await read_rows(services.ports.database)
    assert (row.prompt_name, row.prompt_version) == ("answers", 1)


@pytest.mark.parametrize(
    ("prompt", "status", "named"),
    [
        ({"name": "none"}, 404, "not_found"),
        ({"version": 9}, 404, "not_found"),
        ({"version": 2}, 409, "draft"),
        ({"variables": {}}, 422, "company"),
        ({"variables": {"company": "Acme", "town": "Oslo"}}, 422, "town"),
        ({"variables": {"company": "x" * 4001}}, 422, "company"),
        ({"variables": {"company": 1}}, 422, "company"),
    ],
)
async def test_a_prompt_that_cannot_be_used_is_refused_by_name_everywhere(
    ada: Person, prompt: dict[str, object], status: int, named: str
) -> None:
    asked = {"question": "What colour is the sky?", "prompt": ACME | prompt}
    for response in (
        await begin(ada, **prompt),
        await ada.request("POST", "/v1/answers", json=asked),
        await ada.request("POST", "/v1/answers", json=asked | {"stream": True}),
    ):
        assert response.status_code == status
        assert named in response.text


async def test_whoever_writes_prompts_may_try_a_draft(operator: Person) -> None:
    assert (await begin(operator, version=2)).json()["prompt_version"] == 2


async def test_a_prompt_and_a_system_prompt_exclude_each_other(ada: Person) -> None:
    both = {"prompt": ACME, "system": "Be brief."}
    assert (await ada.request("POST", "/v1/conversations", json=both)).status_code == 422


async def test_an_author_who_is_gone_leaves_the_prompts(ada: Person, services: Services) -> None:
    async with services.ports.database.transaction() as session:
        await session.execute(text("DELETE FROM accounts WHERE email = 'op@example.com'"))
    assert (await begin(ada)).json()["prompt_version"] == 1
