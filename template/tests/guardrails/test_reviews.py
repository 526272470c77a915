"""What guardrails send to review: what a reviewer sees and what the owner reads."""

import re
from typing import Any
from uuid import UUID

import httpx2
import pytest

from app.bootstrap import Services
from app.chat.ports import Message, ModelRequest
from app.chat.reviewing import MOST_CHARACTERS
from app.chat.service import ChatService
from app.chat.settings import ChatSettings
from app.errors import UnavailableError, UnprocessableError
from app.guardrails.service import Guardrails
from app.guardrails.settings import CheckSettings
from app.reviews.refusals import check_refusal
from app.reviews.settings import ReviewsSettings
from app.settings import Settings
from tests.answers.fakes import FakeLanguageModel, FakePrompts, FakeUsage, caller
from tests.chat.fake_provider import FakeProvider
from tests.guardrails.test_guardrails import ATTACK, PRIVATE
from tests.http import Person, join
from tests.usage.rows import read_rows

INPUT = {"input": {"injection": "review"}}
OUTPUT = {"output": {"banned": "review"}, "banned_phrases": ["guaranteed returns", "months [1]"]}
REDACTED = {
    "input": {"injection": "review", "pii": "redact"},
    "output": {"banned": "review", "pii": "redact"},
    "banned_phrases": ["guaranteed returns"],
}


async def ask(person: Person, *contents: str, stream: bool = False) -> httpx2.Response:
    messages = [{"role": "user", "content": content} for content in contents]
    body = {"model": "default", "messages": messages, "stream": stream}
    return await person.request("POST", "/v1/chat/completions", json=body)


async def in_review(person: Person, response: httpx2.Response) -> dict[str, Any]:
    """Return the review item that a refusal refers to."""
    assert '"code":"content_filter"' in response.text.replace(" ", "")
    [path] = re.findall(r"It is in review: (/v1/reviews/[0-9a-f-]{36})", response.text)
    item = await person.request("GET", path)
    assert item.status_code == 200, item.text
    found: dict[str, Any] = item.json()
    return found


async def decide(reviewer: Person, review_id: str, action: str, **body: Any) -> httpx2.Response:  # noqa: ANN401 - JSON
    path = f"/v1/reviews/{review_id}"
    version = (await reviewer.request("POST", f"{path}/claim")).json()["version"]
    return await reviewer.request("POST", f"{path}/{action}", json={"version": version, **body})


@pytest.mark.parametrize("guardrails", [INPUT])
async def test_a_request_waits_for_a_reviewer_and_no_model_is_asked(
    ada: Person, rob: Person, provider: FakeProvider, services: Services, client: httpx2.AsyncClient
) -> None:
    refused = await ask(ada, "Good morning.", ATTACK)
    assert (refused.status_code, provider.calls) == (400, [])
    item = await in_review(ada, refused)
    assert (item["kind"], item["state"], item["output"], item["result"]) == ("guardrail", "open", None, None)
    assert item["reason"].startswith("The guardrail `injection` refuses this request. What it found: ")
    said = [{"role": "user", "content": content} for content in ("Good morning.", ATTACK)]
    assert item["given"] == {"messages": said, "is_whole": True}
    eve = await join(client, services, "eve@example.com")
    assert (await eve.request("GET", f"/v1/reviews/{item['id']}")).status_code == 404
    assert (await decide(rob, item["id"], "approve")).status_code == 200
    seen = (await ada.request("GET", f"/v1/reviews/{item['id']}")).json()
    assert (seen["state"], seen["result"]) == ("approved", None)
    assert (await rob.request("POST", f"/v1/reviews/{item['id']}/claim")).status_code == 409


@pytest.mark.parametrize("guardrails", [INPUT])
async def test_other_paths_name_the_item_in_a_field_of_its_own(ada: Person) -> None:
    begun = (await ada.request("POST", "/v1/conversations", json={})).json()["id"]
    for path, body in (
        ("/v1/answers", {"question": ATTACK}),
        ("/v1/answers", {"question": ATTACK, "stream": True}),
        ("/v1/extractions", {"text": ATTACK, "schema": {"type": "object"}}),
        (f"/v1/conversations/{begun}/messages", {"content": ATTACK}),
    ):
        problem = await ada.request("POST", path, json=body)
        assert (problem.status_code, problem.json()["code"]) == (422, "guardrail_refused")
        item = await ada.request("GET", f"/v1/reviews/{problem.json()['review_id']}")
        assert ATTACK in str(item.json()["given"])


@pytest.mark.parametrize("guardrails", [OUTPUT])
async def test_an_answer_waits_with_what_was_written_and_a_reviewer_writes_a_better_one(
    ada: Person, rob: Person, provider: FakeProvider
) -> None:
    provider.answer = lambda _: "You have guaranteed returns, \ud83d always."
    refused = await ask(ada, "Why?")
    assert refused.status_code == 400
    assert "returns" not in refused.text
    item = await in_review(ada, refused)
    assert item["reason"] == "The guardrail `banned` refuses this answer."
    assert item["output"] == "You have guaranteed returns, \N{REPLACEMENT CHARACTER} always."
    for wrong in (None, {"text": "Yes."}):
        assert (await decide(rob, item["id"], "correct", result=wrong)).status_code == 422
    assert (await decide(rob, item["id"], "correct", result="Nobody knows.")).status_code == 200
    seen = (await ada.request("GET", f"/v1/reviews/{item['id']}")).json()
    assert (seen["state"], seen["result"]) == ("corrected", "Nobody knows.")


@pytest.mark.parametrize("guardrails", [OUTPUT])
async def test_a_stream_ends_with_the_item_s_identifier_and_is_metered_as_filtered(
    ada: Person, rob: Person, services: Services
) -> None:
    refused = await ask(ada, "Why?", stream=True)
    # The status shows it if the refusal comes before the first word.
    assert refused.status_code in {200, 400}
    assert "months" not in refused.text
    assert "[DONE]" not in refused.text
    item = await in_review(ada, refused)
    assert item["output"] == "Twenty-four months [1]."
    [row] = await read_rows(services.ports.database)
    assert (row.finish_reason, row.estimated, row.output_tokens > 0) == ("content_filter", True, True)
    assert (await decide(rob, item["id"], "approve")).json()["result"] == item["output"]


def test_half_of_a_surrogate_pair_is_not_released() -> None:
    with pytest.raises(UnprocessableError):
        check_refusal({}, "\ud83d", is_corrected=True)


@pytest.mark.parametrize("guardrails", [REDACTED])
async def test_what_is_redacted_for_the_model_and_the_reader_is_kept_redacted(
    ada: Person, provider: FakeProvider
) -> None:
    item = await in_review(ada, await ask(ada, PRIVATE, ATTACK))
    assert item["given"]["messages"][0]["content"] == "Mail [email] or call [phone]."
    provider.answer = lambda _: "Mail ada@example.com for guaranteed returns, always."
    item = await in_review(ada, await ask(ada, PRIVATE))
    assert item["given"]["messages"][0]["content"] == "Mail [email] or call [phone]."
    assert item["output"] == "Mail [email] for guaranteed returns, always."


@pytest.mark.parametrize("guardrails", [INPUT])
async def test_of_a_long_conversation_the_end_is_kept(ada: Person) -> None:
    item = await in_review(ada, await ask(ada, "x" * 10, "y" * MOST_CHARACTERS, ATTACK))
    kept = [message["content"] for message in item["given"]["messages"]]
    assert (kept, item["given"]["is_whole"]) == (["y" * (MOST_CHARACTERS - len(ATTACK)), ATTACK], False)
    item = await in_review(ada, await ask(ada, *["", *["Hi."] * 49, ATTACK]))
    assert (len(item["given"]["messages"]), item["given"]["is_whole"]) == (50, False)


class TestFullQueue:
    """At most one refusal per owner may wait."""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        """Settings with that limit."""
        return settings.model_copy(update={"reviews": ReviewsSettings(max_refusals=1)})

    @pytest.mark.parametrize("guardrails", [INPUT])
    async def test_further_requests_are_refused_but_not_kept(
        self, ada: Person, rob: Person, services: Services, client: httpx2.AsyncClient
    ) -> None:
        first = await in_review(ada, await ask(ada, ATTACK))
        second = await ask(ada, ATTACK)
        assert second.json()["error"]["message"] == "The guardrail `injection` refuses this request."
        await in_review(eve := await join(client, services, "eve@example.com"), await ask(eve, ATTACK))
        await decide(rob, first["id"], "reject", note="An attack.")
        await in_review(ada, await ask(ada, ATTACK))


class UnreachableDesk:
    """A review desk that cannot be reached."""

    async def submit(self, reason: str, given: Any, output: str | None, *, owner_id: UUID) -> UUID | None:  # noqa: ANN401 - JSON
        """Fail."""
        raise UnavailableError("The database cannot be reached at the moment.")


async def test_what_cannot_be_kept_for_a_reviewer_is_not_let_through() -> None:
    model, usage = FakeLanguageModel(["These are guaranteed ", "returns", " now"]), FakeUsage()
    for settings, content, asked in ((INPUT, ATTACK, 0), (OUTPUT, "Why?", 1)):
        guardrails = Guardrails(CheckSettings.model_validate(settings), desk=UnreachableDesk())
        service = ChatService({"default": model}, usage, ChatSettings(), FakePrompts(), guardrails)
        with pytest.raises(UnavailableError):
            await service.complete(
                ModelRequest([Message("user", content)]), model="default", max_tokens=None, caller=caller()
            )
        assert len(model.requests) == asked
    assert [each.finish_reason for each in usage.measurements] == ["content_filter"]
