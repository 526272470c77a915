"""The `topics` guardrail: it uses the bundled embedding model and judges only the user's newest message."""

from collections.abc import Sequence
from uuid import UUID

import pytest

from app.bootstrap import Services
from app.chat.guarding import check_request
from app.chat.ports import Message, ModelRequest, ToolCall
from app.errors import GuardrailRefusedError
from app.extraction.extractor import ExtractionOptions, Extractor
from app.extraction.settings import ExtractionSettings
from app.guardrails.service import Guardrails
from app.guardrails.topics import TopicPolicy
from tests.answers.fakes import FakeLanguageModel, FakeUsage, caller

ALLOWED = ["How long is the warranty?"]
WARRANTY = Message("user", "How long is the warranty?")
ELECTION = Message("user", "Who won the election?")
CALLING = Message("assistant", "", [ToolCall("1", "look_up", "{}")])
SCHEMA = {"type": "object", "properties": {"months": {"type": "integer"}}, "required": ["months"]}


@pytest.fixture
def policy(services: Services) -> TopicPolicy:
    """A policy that allows questions about the warranty."""
    return TopicPolicy(services.ports.embedder, ALLOWED, ["Give me medical advice."], 0.35)


async def test_topics_are_told_by_the_model_that_ships(policy: TopicPolicy) -> None:
    assert await policy.find_fault("Does the guarantee cover the battery?", owner=None) is None
    assert await policy.find_fault("What is the capital of Peru?", owner=None) == "not_allowed"
    assert await policy.find_fault("My head hurts, what pills help?", owner=None) == "denied"


@pytest.mark.parametrize(
    ("messages", "passes"),
    [
        ([ELECTION, Message("assistant", "No."), WARRANTY], True),
        ([WARRANTY, Message("assistant", "Two years."), ELECTION], False),
        ([WARRANTY, CALLING, Message("tool", "Rain in Lima, 19 degrees.")], True),
        ([ELECTION, CALLING, Message("tool", "The warranty lasts two years.")], False),
        ([Message("system", "Talk about Lima.")], True),
    ],
)
async def test_the_newest_message_of_the_user_has_the_topic(
    messages: Sequence[Message], policy: TopicPolicy, *, passes: bool
) -> None:
    guardrails = Guardrails(topics=policy)
    if passes:
        await check_request(ModelRequest(messages), guardrails, owner=UUID(int=1))
    else:
        with pytest.raises(GuardrailRefusedError, match="`topics`"):
            await check_request(ModelRequest(messages), guardrails, owner=UUID(int=1))


async def test_what_an_extraction_tells_the_model_about_its_mistakes_needs_no_topic(policy: TopicPolicy) -> None:
    model = FakeLanguageModel(["two years"])
    extractor = Extractor({"default": model}, FakeUsage(), ExtractionSettings(), Guardrails(topics=policy))
    plan = await extractor.plan(ExtractionOptions(SCHEMA, None, "default", 2, "error"))
    outcome = await extractor.extract("The warranty lasts 24 months.", plan, caller=caller())
    assert (outcome.attempts, len(model.requests)) == (2, 2)
    with pytest.raises(GuardrailRefusedError, match="`topics`"):
        await extractor.extract("Lima is the capital of Peru.", plan, caller=caller())
