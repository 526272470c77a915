"""Metrics of language models that answer and of those that fail."""

import contextlib
from time import monotonic

import pytest

from app.chat import metrics
from app.chat.ports import Message, ModelRequest
from app.chat.service import ChatService
from app.chat.settings import ChatSettings
from app.errors import UnavailableError
from app.guardrails.service import Guardrails
from app.guardrails.settings import GuardrailSettings
from tests.answers.fakes import FakeLanguageModel, FakePrompts, FakeUsage, caller
from tests.chat.chains import Outcome, Pair, ask
from tests.chat.service import PROVIDERS, Provider
from tests.meters import Meters

FAILURES = "app_language_model_failures"
CIRCUITS = "app_circuit_open"


async def test_an_answer_is_told_by_its_tokens_and_by_how_it_ended(meters: Meters) -> None:
    for model in (FakeLanguageModel(["Yes."]), FakeLanguageModel(failure=UnavailableError("Away."))):
        service = ChatService(
            {"default": model}, FakeUsage(), ChatSettings(), FakePrompts(), Guardrails(GuardrailSettings())
        )
        request = ModelRequest([Message("user", "Is it?")])
        with contextlib.suppress(UnavailableError):
            await service.complete(request, model="default", max_tokens=None, caller=caller())
    told = meters.read()
    answered, failed = ("model", "fake:model-1"), ("model", "fake:model")
    assert told["app_language_model_tokens"] == {
        frozenset({answered, ("direction", "read")}): 10,
        frozenset({answered, ("direction", "written")}): 5,
    }
    assert told["app_language_model_seconds_count"] == {
        frozenset({answered, ("reason", "stop")}): 1,
        frozenset({failed, ("reason", "failed")}): 1,
    }
    assert told["app_language_model_first_token_seconds_count"] == {frozenset({answered}): 1}


@pytest.mark.parametrize("kind", PROVIDERS)
async def test_a_failure_is_counted_by_model_and_code_and_the_circuit_is_shown(
    pair: Pair, kind: Provider, meters: Meters, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, other = (frozenset({("model", name)}) for name in ("first:status-500", "other:steady"))
    failed = first | {("code", "unavailable")}
    settings = pair.chain(kind, "status-500", "steady")
    settings.providers["first"].first_token_timeout = 60  # on a slow machine a timeout would be a different failure
    async with pair.open(settings) as model:
        await ask(model, Outcome())
        told = meters.read()
        assert told[FAILURES] == {failed: 1}
        assert (told[CIRCUITS][first], told[CIRCUITS][other]) == (0, 0)
        await ask(model, Outcome())
        told = meters.read()
        assert (told[FAILURES], told[CIRCUITS][first]) == ({failed: 1}, 1)
        await ask(model, Outcome())
        told = meters.read()
        assert (told.get(FAILURES, {}), told[CIRCUITS][first]) == ({}, 1)
    assert pair.calls == (2, 3)
    # Once the pause is over, the circuit no longer shows as open, even without further requests.
    later = monotonic() + 61
    monkeypatch.setattr(metrics, "monotonic", lambda: later)
    assert meters.read()[CIRCUITS][first] == 0
