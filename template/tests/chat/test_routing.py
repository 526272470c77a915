"""Routing: models that keep failing are skipped, and callers see which model answered."""

from dataclasses import replace

import httpx2
import pytest

from app.adapters.circuit_breaker import CircuitBreakerSettings, LocalCircuitBreaker
from app.errors import UnavailableError
from app.settings import Settings
from tests.chat.chains import Outcome, Pair, ask
from tests.chat.service import PROVIDERS, Provider, RunningService, run_service

both = pytest.mark.parametrize("kind", PROVIDERS)


@both
async def test_a_model_that_keeps_failing_is_left_alone(pair: Pair, kind: Provider) -> None:
    async with pair.open(pair.chain(kind, "status-500", "steady")) as model:
        for _ in range(3):
            outcome = await ask(model, Outcome())
    assert outcome.asked == ["other:steady"]
    assert pair.calls == (2, 3)


@both
async def test_a_request_for_which_every_model_is_left_alone_is_told_when_to_come_back(
    pair: Pair, kind: Provider
) -> None:
    async with pair.open(pair.chain(kind, "status-500", "status-500")) as model:
        for _ in range(3):
            outcome = Outcome()
            with pytest.raises(UnavailableError) as caught:
                await ask(model, outcome)
    assert outcome.asked == []
    assert caught.value.headers == {"Retry-After": "60"}
    assert pair.calls == (2, 2)


async def test_a_trial_that_succeeds_lets_everybody_ask_again(pair: Pair) -> None:
    now = 0.0
    breaker = LocalCircuitBreaker(CircuitBreakerSettings(failures=1, pause=30), clock=lambda: now)
    pair = replace(pair, breaker=breaker)
    async with pair.open(pair.chain("openai", "recovers", "steady")) as model:
        assert (await ask(model, Outcome())).asked == ["first:recovers", "other:steady"]
        assert (await ask(model, Outcome())).asked == ["other:steady"]
        now = 31.0
        assert (await ask(model, Outcome())).asked == ["first:recovers"]
    assert (await pair.breaker.look("first:recovers")).state == "closed"


async def complete(service: RunningService, model: str = "default") -> httpx2.Response:
    body = {"model": model, "messages": [{"role": "user", "content": "How long is the warranty?"}]}
    headers = {"Authorization": f"Bearer {service.key}"}
    async with httpx2.AsyncClient(timeout=60) as client:
        return await client.post(f"{service.url}/v1/chat/completions", json=body, headers=headers)


async def test_answer_and_account_name_the_model_that_answered(settings: Settings, pair: Pair) -> None:
    chain = pair.chain("openai", "status-500", "steady")
    async with run_service(settings, chain) as service:
        assert (await complete(service)).json()["model"] == "other:steady"
        row = await service.usage()
        assert (row.model, row.finish_reason, row.estimated) == ("other:steady", "stop", False)


async def test_the_account_names_the_model_that_was_asked_last(settings: Settings, pair: Pair) -> None:
    chain = pair.chain("openai", "status-500", "status-429-after-7")
    async with run_service(settings, chain) as service:
        refused = await complete(service)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "7")
        assert refused.json()["error"]["code"] == "provider_busy"
        row = await service.usage()
        assert (row.model, row.finish_reason) == ("other:status-429-after-7", "failed")


async def test_aliases_and_models_can_be_asked_for_by_name_and_their_circuits_are_seen(
    settings: Settings, pair: Pair
) -> None:
    chain = pair.chain("openai", "status-500", "steady")
    shared = settings.model_copy(
        update={"circuit_breaker": CircuitBreakerSettings(failures=1, pause=60)},
    )
    async with run_service(shared, chain) as service:
        for name in ("fast", "other:steady", "default"):
            assert (await complete(service, name)).json()["model"] == "other:steady"
        headers = {"Authorization": f"Bearer {service.key}"}
        async with httpx2.AsyncClient(base_url=service.url, headers=headers) as client:
            listed = (await client.get("/v1/models")).json()["data"]
            ready = await client.get("/health/ready")
    served = {model["id"]: model["provider"] for model in listed if model["version"] is None}
    assert served == {
        "default": "first:status-500",
        "fast": "other:steady",
        "first:status-500": "first:status-500",
        "other:steady": "other:steady",
        "status-500": "first:status-500",
    }
    assert ready.status_code == 200
    assert ready.json()["language_models"] == {"first:status-500": "open", "other:steady": "closed"}
