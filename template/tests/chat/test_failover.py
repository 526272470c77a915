"""When a model fails before its first word, the next of its chain answers; after that word, nobody else does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace

import httpx2
import pytest

from app.adapters.circuit_breaker import CircuitBreakerSettings, LocalCircuitBreaker
from app.adapters.language_model import LanguageModelSettings, open_language_models
from app.chat.ports import Asked, Finished, LanguageModel, Message, ModelRequest, TextDelta, Tool
from app.errors import (
    AppError,
    ProviderBusyError,
    RequestRefusedError,
    ServiceRefusedError,
    UnavailableError,
    UpstreamError,
    UpstreamFailedError,
    UpstreamTimeoutError,
)
from app.settings import Settings
from tests.chat.fake_provider import WORDS, FakeProvider, serve_fake_provider
from tests.chat.service import PROVIDERS, Provider, RunningService, connect, run_service

REQUEST = ModelRequest([Message("user", "How long is the warranty?")])
NOWHERE = "http://127.0.0.1:1"

both = pytest.mark.parametrize("kind", PROVIDERS)


@dataclass
class Heard:
    """What came of a question: who was asked, what was written, how it ended."""

    asked: list[str] = field(default_factory=list)
    text: str = ""
    end: Finished | None = None


@dataclass
class Pair:
    """A provider and another that can stand in for it, and what is remembered of them."""

    provider: FakeProvider
    other: FakeProvider
    breaker: LocalCircuitBreaker

    @property
    def calls(self) -> tuple[int, int]:
        """How often each was asked."""
        return len(self.provider.calls), len(self.other.calls)

    def chain(self, kind: Provider, fault: str, *rest: str, attempts: int = 1) -> LanguageModelSettings:
        """Put a faulty model of the first before models of the other, which speaks the other protocol."""
        stand_in: Provider = "anthropic" if kind == "openai" else "openai"
        impatient = {"first_token_timeout": 0.5, "idle_timeout": 0.5}
        providers = {
            "first": {"protocol": kind, **impatient, **connect(self.provider, kind)},
            "other": {"protocol": stand_in, **connect(self.other, stand_in)},
        }
        chain = [f"first:{fault}", *(f"other:{model}" for model in rest)]
        aliases = {"default": chain, "fast": ["other:steady"]}
        return LanguageModelSettings.model_validate({"providers": providers, "aliases": aliases, "attempts": attempts})

    @asynccontextmanager
    async def open(self, settings: LanguageModelSettings) -> AsyncIterator[LanguageModel]:
        """Open the chain."""
        async with open_language_models(settings, self.breaker) as models:
            yield models["default"]


@pytest.fixture
async def pair(provider: FakeProvider) -> AsyncIterator[Pair]:
    async with serve_fake_provider() as other:
        yield Pair(provider, other, LocalCircuitBreaker(CircuitBreakerSettings(failures=2, pause=60)))


async def ask(model: LanguageModel, heard: Heard, request: ModelRequest = REQUEST) -> Heard:
    """Ask, and keep what is heard even if it ends badly."""
    async with aclosing(model.stream(request)) as events:
        async for event in events:
            match event:
                case Asked(name):
                    heard.asked.append(name)
                case TextDelta(text):
                    heard.text += text
                case Finished():
                    heard.end = event
    return heard


@both
@pytest.mark.parametrize(
    "fault",
    [
        "status-402",
        "status-429",
        "status-429-after-60",
        "status-500",
        "status-503",
        "status-529",
        "mute",
        "early-cuts",
        "early-garbled",
        "early-unfinished",
    ],
)
async def test_the_next_model_answers_for_one_that_fails_before_its_first_word(
    pair: Pair, kind: Provider, fault: str
) -> None:
    async with pair.open(pair.chain(kind, fault, "steady")) as model:
        heard = await ask(model, Heard())
    assert heard.asked == [f"first:{fault}", "other:steady"]
    assert heard.text == "".join(WORDS)
    assert heard.end is not None
    assert heard.end.model == "other:steady"
    assert pair.calls == (1, 1)


@both
async def test_the_next_model_answers_for_one_that_cannot_be_reached(pair: Pair, kind: Provider) -> None:
    settings = pair.chain(kind, "steady", "steady")
    settings.providers["first"].base_url = NOWHERE
    async with pair.open(settings) as model:
        heard = await ask(model, Heard())
    assert heard.asked == ["first:steady", "other:steady"]
    assert heard.end is not None


@both
@pytest.mark.parametrize(
    ("fault", "error"),
    [("status-400", RequestRefusedError), ("status-401", ServiceRefusedError), ("status-404", ServiceRefusedError)],
)
async def test_nobody_stands_in_where_the_fault_is_ours(
    pair: Pair,
    kind: Provider,
    fault: str,
    error: type[AppError],
) -> None:
    async with pair.open(pair.chain(kind, fault, "steady", attempts=3)) as model:
        with pytest.raises(error):
            await ask(model, Heard())
    assert pair.calls == (1, 0)


@both
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("cuts", UpstreamFailedError),
        ("garbled", UpstreamFailedError),
        ("unfinished", UpstreamFailedError),
        ("breaks", UnavailableError),
        ("stalls", UpstreamTimeoutError),
    ],
)
async def test_nobody_goes_on_with_what_another_model_began(
    pair: Pair,
    kind: Provider,
    fault: str,
    error: type[UpstreamError],
) -> None:
    heard = Heard()
    async with pair.open(pair.chain(kind, fault, "steady", attempts=3)) as model:
        with pytest.raises(error):
            await ask(model, heard)
    assert heard.asked == [f"first:{fault}"]
    assert heard.text.startswith("Twenty-four months ")
    assert pair.calls == (1, 0)


@both
async def test_a_model_is_tried_again_before_another_stands_in(pair: Pair, kind: Provider) -> None:
    async with pair.open(pair.chain(kind, "recovers", "steady", attempts=2)) as model:
        heard = await ask(model, Heard())
    assert heard.asked == ["first:recovers"]
    assert heard.end is not None
    assert pair.calls == (2, 0)


@both
async def test_tries_are_counted_for_each_model_and_not_multiplied(pair: Pair, kind: Provider) -> None:
    async with pair.open(pair.chain(kind, "status-500", "status-503", attempts=2)) as model:
        with pytest.raises(UnavailableError):
            await ask(model, Heard())
    assert pair.calls == (2, 2)


@both
async def test_a_provider_that_asks_for_a_long_pause_is_not_asked_again(pair: Pair, kind: Provider) -> None:
    settings = pair.chain(kind, "status-529", "status-429-after-60", attempts=3)
    async with pair.open(settings) as model:
        with pytest.raises(ProviderBusyError) as caught:
            await ask(model, Heard())
    assert caught.value.headers == {"Retry-After": "60"}
    assert pair.calls == (3, 1)


@both
async def test_what_a_stand_in_cannot_do_is_not_held_against_the_request(pair: Pair, kind: Provider) -> None:
    settings = pair.chain(kind, "status-503", "status-400", "status-401")
    settings.aliases["default"].append("offline:extractive")
    heard = Heard()
    async with pair.open(settings) as model:
        with pytest.raises(UnavailableError):
            await ask(model, heard, ModelRequest(REQUEST.messages, tools=[Tool("get_time")]))
    assert heard.asked == ["first:status-503", "other:status-400", "other:status-401", "offline:extractive"]


@both
async def test_the_time_for_an_answer_is_that_of_the_whole_chain(pair: Pair, kind: Provider) -> None:
    settings = pair.chain(kind, "mute", "steady")
    settings.total_timeout = 0.2
    heard = Heard()
    async with pair.open(settings) as model:
        with pytest.raises(UpstreamTimeoutError):
            await ask(model, heard)
    assert heard.asked == ["first:mute"]
    assert (await pair.breaker.look("other:steady")).state == "closed"


@both
async def test_a_model_that_keeps_failing_is_left_alone(pair: Pair, kind: Provider) -> None:
    async with pair.open(pair.chain(kind, "status-500", "steady")) as model:
        for _ in range(3):
            heard = await ask(model, Heard())
    assert heard.asked == ["other:steady"]
    assert pair.calls == (2, 3)


@both
async def test_a_request_for_which_every_model_is_left_alone_is_told_when_to_come_back(
    pair: Pair, kind: Provider
) -> None:
    async with pair.open(pair.chain(kind, "status-500", "status-500")) as model:
        for _ in range(3):
            heard = Heard()
            with pytest.raises(UnavailableError) as caught:
                await ask(model, heard)
    assert heard.asked == []
    assert caught.value.headers == {"Retry-After": "60"}
    assert pair.calls == (2, 2)


async def test_a_trial_that_succeeds_lets_everybody_ask_again(pair: Pair) -> None:
    now = 0.0
    breaker = LocalCircuitBreaker(CircuitBreakerSettings(failures=1, pause=30), clock=lambda: now)
    pair = replace(pair, breaker=breaker)
    async with pair.open(pair.chain("openai", "recovers", "steady")) as model:
        assert (await ask(model, Heard())).asked == ["first:recovers", "other:steady"]
        assert (await ask(model, Heard())).asked == ["other:steady"]
        now = 31.0
        assert (await ask(model, Heard())).asked == ["first:recovers"]
    assert (await pair.breaker.look("first:recovers")).state == "closed"


@both
async def test_leaving_while_a_model_is_silent_asks_nobody_else(pair: Pair, kind: Provider) -> None:
    settings = pair.chain(kind, "mute", "steady")
    settings.providers["first"].first_token_timeout = 60
    async with pair.open(settings) as model:
        asking = asyncio.create_task(ask(model, Heard()))
        await asyncio.wait_for(pair.provider.called.wait(), 60)
        asking.cancel()
        await asyncio.wait_for(pair.provider.client_left.wait(), 60)
        with pytest.raises(asyncio.CancelledError):
            await asking
    assert pair.calls == (1, 0)


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
