"""Fixtures: a gated model, and a factory of processes that share a cache."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from app.adapters.answer_cache import ValkeyAnswerCache
from app.adapters.valkey import ValkeySettings, open_valkey
from app.chat.caching import Caching
from app.chat.service import ChatService
from app.chat.settings import AnswerCacheSettings, ChatSettings
from app.guardrails.service import Guardrails
from app.guardrails.settings import GuardrailSettings
from app.settings import Settings
from tests.answers.fakes import FakePrompts, FakeUsage
from tests.chat.caching.processes import NEVER, GatedModel, Process, Start


@pytest.fixture
def model() -> GatedModel:
    return GatedModel()


@pytest.fixture
async def start(settings: Settings, model: GatedModel) -> AsyncIterator[Start]:
    """Return a function that starts a process; all of them share the cache and the model."""
    async with AsyncExitStack() as stack:

        async def start(
            valkey: ValkeySettings = settings.valkey,
            guardrails: GuardrailSettings | None = None,
            lease: float = 6,
            chance: Callable[[], float] = NEVER,
            **options: Any,  # noqa: ANN401
        ) -> Process:
            client = await stack.enter_async_context(open_valkey(valkey))
            assert client is not None
            rules = AnswerCacheSettings.model_validate({"max_ttl": 600} | options)
            cache = ValkeyAnswerCache(client, settings.valkey.prefix, rules.max_bytes)
            usage, caching = FakeUsage(), Caching(cache, rules, lease, chance)
            checks = Guardrails(guardrails or GuardrailSettings())
            service = ChatService({"default": model}, usage, ChatSettings(), FakePrompts(), checks, caching)
            return Process(service, cache, usage)

        yield start
