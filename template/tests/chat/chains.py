"""Model chains with a faulty first model, and a recorder for what a request to them produces."""

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field

from app.adapters.circuit_breaker import LocalCircuitBreaker
from app.adapters.language_model import LanguageModelSettings, open_language_models
from app.adapters.provider_limiter import LocalProviderLimiter
from app.chat.ports import Finished, LanguageModel, Message, ModelAttempt, ModelRequest, TextDelta
from app.chat.provider_limits import ProviderLimiter
from tests.chat.fake_provider import PATIENCE, FakeProvider
from tests.chat.service import Provider, connect

REQUEST = ModelRequest([Message("user", "How long is the warranty?")])


@dataclass
class Outcome:
    """The result of a request: the models asked, the text written and the final event."""

    asked: list[str] = field(default_factory=list)
    text: str = ""
    end: Finished | None = None


@dataclass
class Pair:
    """Two providers, the second a fallback for the first, with a shared circuit breaker and limiter."""

    provider: FakeProvider
    other: FakeProvider
    breaker: LocalCircuitBreaker
    limiter: ProviderLimiter = field(default_factory=LocalProviderLimiter)

    @property
    def calls(self) -> tuple[int, int]:
        """How many calls each provider received."""
        return len(self.provider.calls), len(self.other.calls)

    def chain(self, kind: Provider, fault: str, *rest: str, attempts: int = 1) -> LanguageModelSettings:
        """Return a chain of a faulty model of the first provider, then models of the other, in the other protocol."""
        stand_in: Provider = "anthropic" if kind == "openai" else "openai"
        providers = {
            "first": {"protocol": kind, **PATIENCE.get(fault, {}), **connect(self.provider, kind)},
            "other": {"protocol": stand_in, **connect(self.other, stand_in)},
        }
        chain = [f"first:{fault}", *(f"other:{model}" for model in rest)]
        aliases = {"default": chain, "fast": ["other:steady"]}
        return LanguageModelSettings.model_validate({"providers": providers, "aliases": aliases, "attempts": attempts})

    @asynccontextmanager
    async def open(self, settings: LanguageModelSettings) -> AsyncIterator[LanguageModel]:
        """Open the chain as a language model."""
        async with open_language_models(settings, self.breaker, self.limiter) as models:
            yield models["default"]


async def ask(model: LanguageModel, outcome: Outcome, request: ModelRequest = REQUEST) -> Outcome:
    """Send a request and record its events in `outcome`, which keeps them if the request fails."""
    async with aclosing(model.stream(request)) as events:
        async for event in events:
            match event:
                case ModelAttempt(name):
                    outcome.asked.append(name)
                case TextDelta(text):
                    outcome.text += text
                case Finished():
                    outcome.end = event
    return outcome
