"""The contract of language models: streaming, errors, and what reaches the provider."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Literal

import pytest
from pydantic import SecretStr, ValidationError
from structlog.testing import capture_logs

from app.adapters.language_model import LanguageModelSettings
from app.adapters.offline_language_model import OfflineLanguageModel
from app.adapters.provider_language_model import open_provider
from app.chat.ports import Finished, Hidden, LanguageModel, Message, ModelRequest, Source, TextDelta, Usage
from app.errors import (
    BrokenOffError,
    ProviderBusyError,
    RequestRefusedError,
    ServiceRefusedError,
    UnavailableError,
    UpstreamError,
    UpstreamFailedError,
    UpstreamTimeoutError,
)
from tests.chat.fake_provider import (
    INPUT_TOKENS,
    OUTPUT_TOKENS,
    PATIENCE,
    PROVIDER_SAYS,
    REASONING,
    WORDS,
    FakeProvider,
)

Provider = Literal["openai", "anthropic"]
PROVIDERS: tuple[Provider, ...] = ("openai", "anthropic")
PASSAGE = "The warranty lasts twenty-four months. It covers the battery."
QUESTION = "How long does the warranty last?"
REQUEST = ModelRequest(
    messages=[Message("system", "Quote."), Message("user", PASSAGE), Message("user", QUESTION)],
    sources=[Source(1, PASSAGE)],
    max_tokens=64,
)
KEY = "sk-secret"


def settings_for(fake: FakeProvider, kind: Provider, model: str, **timeouts: float) -> LanguageModelSettings:
    base_url = f"{fake.url}/v1" if kind == "openai" else fake.url
    return LanguageModelSettings(provider=kind, model=model, base_url=base_url, api_key=SecretStr(KEY), **timeouts)


@asynccontextmanager
async def open_model(settings: LanguageModelSettings) -> AsyncIterator[LanguageModel]:
    """Open the model alone: without retries and without a fallback."""
    providers = settings.all_providers()
    if not providers:
        yield OfflineLanguageModel()
        return
    [(name, connection)] = providers.items()
    async with open_provider(name, connection) as find:
        yield find(settings.model or "")


async def ask(settings: LanguageModelSettings, request: ModelRequest = REQUEST) -> tuple[str, Finished]:
    async with open_model(settings) as model:
        events = [event async for event in model.stream(request)]
    *pieces, end = events
    assert isinstance(end, Finished)
    assert all(isinstance(piece, TextDelta) and piece.text for piece in pieces)
    return "".join(piece.text for piece in pieces if isinstance(piece, TextDelta)), end


@pytest.mark.parametrize("kind", ["offline", *PROVIDERS])
async def test_every_model_streams_text_and_ends_with_its_name_and_usage(provider: FakeProvider, kind: str) -> None:
    settings = LanguageModelSettings() if kind == "offline" else settings_for(provider, kind, "steady")  # type: ignore[arg-type]
    text, end = await ask(settings)
    assert "months" in text
    assert "[1]" in text
    assert end.reason == "stop"
    assert end.model == ("offline:extractive" if kind == "offline" else f"{kind}:steady")
    assert end.usage.input_tokens > 0
    assert end.usage.output_tokens > 0


@pytest.mark.parametrize("kind", PROVIDERS)
async def test_a_providers_words_and_token_counts_arrive_unchanged(provider: FakeProvider, kind: Provider) -> None:
    text, end = await ask(settings_for(provider, kind, "steady"))
    assert text == "".join(WORDS)
    assert end.usage == Usage(INPUT_TOKENS, OUTPUT_TOKENS)


@pytest.mark.parametrize("kind", PROVIDERS)
async def test_the_provider_gets_the_conversation_the_limit_and_the_key(provider: FakeProvider, kind: Provider) -> None:
    await ask(settings_for(provider, kind, "steady"))
    [call] = provider.calls
    assert call.body.get("max_completion_tokens", call.body.get("max_tokens")) == 64
    assert KEY in (call.headers.get("authorization", "") + call.headers.get("x-api-key", ""))
    [user] = [message for message in call.body["messages"] if message["role"] == "user"]
    assert f"{PASSAGE}\\n\\n{QUESTION}" in str(user["content"]).replace("\n", "\\n")
    assert "Quote." in str(call.body.get("system", "")) + str(call.body["messages"][0])


@pytest.mark.parametrize("kind", PROVIDERS)
async def test_reasoning_is_not_part_of_the_answer(provider: FakeProvider, kind: Provider) -> None:
    async with open_model(settings_for(provider, kind, "thinking")) as model:
        first, *pieces, _ = [event async for event in model.stream(REQUEST)]
    assert first == Hidden(len(REASONING))
    assert "".join(piece.text for piece in pieces if isinstance(piece, TextDelta)) == "".join(WORDS)


@pytest.mark.parametrize("kind", PROVIDERS)
@pytest.mark.parametrize(("model", "reason"), [("limited", "length"), ("filtered", "content_filter")])
async def test_the_finish_reason_is_passed_on(provider: FakeProvider, kind: Provider, model: str, reason: str) -> None:
    _, end = await ask(settings_for(provider, kind, model))
    assert end.reason == reason


@pytest.mark.parametrize("kind", PROVIDERS)
@pytest.mark.parametrize(
    ("model", "error"),
    [
        ("status-400", RequestRefusedError),
        ("status-401", ServiceRefusedError),
        ("status-402", UpstreamFailedError),
        ("status-403", ServiceRefusedError),
        ("status-404", ServiceRefusedError),
        ("status-413", RequestRefusedError),
        ("status-429", ProviderBusyError),
        ("status-500", UnavailableError),
        ("status-502", UnavailableError),
        ("status-503", UnavailableError),
        ("status-529", UnavailableError),
        ("mute", UpstreamTimeoutError),
        ("stalls", UpstreamTimeoutError),
        ("cuts", BrokenOffError),
        ("unfinished", UpstreamFailedError),
        ("garbled", UpstreamFailedError),
        ("breaks", UnavailableError),
    ],
)
async def test_a_failing_provider_is_asked_once_and_its_failure_is_named(
    provider: FakeProvider, kind: Provider, model: str, error: type[UpstreamError]
) -> None:
    settings = settings_for(provider, kind, model, **PATIENCE.get(model, {}))
    with capture_logs() as logs, pytest.raises(error) as caught:
        await ask(settings)
    assert type(caught.value) is error
    assert len(provider.calls) == 1
    assert [entry["event"] for entry in logs] == ["language_model.failed"]
    assert KEY not in str(logs)
    assert QUESTION not in str(logs)
    assert PROVIDER_SAYS not in caught.value.detail
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("kind", PROVIDERS)
async def test_the_log_has_the_providers_status_and_code_but_not_its_words(
    provider: FakeProvider, kind: Provider
) -> None:
    with capture_logs() as logs, pytest.raises(ServiceRefusedError):
        await ask(settings_for(provider, kind, "status-401"))
    assert (logs[0]["status"], logs[0]["type"]) == (401, "authentication_error")
    assert PROVIDER_SAYS not in str(logs)


@pytest.mark.parametrize("kind", PROVIDERS)
async def test_a_provider_that_does_not_listen_is_unavailable(provider: FakeProvider, kind: Provider) -> None:
    settings = settings_for(provider, kind, "steady")
    settings.base_url = "http://127.0.0.1:1"
    with pytest.raises(UnavailableError):
        await ask(settings)


@pytest.mark.parametrize("kind", PROVIDERS)
async def test_an_answer_that_drips_for_too_long_is_given_up(provider: FakeProvider, kind: Provider) -> None:
    with pytest.raises(UpstreamTimeoutError):
        await ask(settings_for(provider, kind, "stalls", total_timeout=0.5))


@pytest.mark.parametrize("kind", PROVIDERS)
async def test_cancelling_the_reader_cancels_the_call_to_the_provider(provider: FakeProvider, kind: Provider) -> None:
    task = asyncio.create_task(ask(settings_for(provider, kind, "mute")))
    await asyncio.wait_for(provider.called.wait(), 60)
    task.cancel()
    await asyncio.wait_for(provider.client_left.wait(), 60)
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("kind", PROVIDERS)
async def test_closing_the_stream_early_ends_the_call_to_the_provider(provider: FakeProvider, kind: Provider) -> None:
    async with open_model(settings_for(provider, kind, "stalls")) as model:
        async with aclosing(model.stream(REQUEST)) as events:
            await anext(events)
        await asyncio.wait_for(provider.client_left.wait(), 60)


@pytest.mark.parametrize("kind", PROVIDERS)
async def test_requests_share_a_connection(provider: FakeProvider, kind: Provider) -> None:
    async with open_model(settings_for(provider, kind, "steady")) as model:
        for _ in range(3):
            assert [event async for event in model.stream(REQUEST)]
    assert len(provider.calls) == 3
    assert provider.connections == 1


@pytest.mark.parametrize("kind", PROVIDERS)
async def test_a_key_in_the_environment_is_never_sent(
    provider: FakeProvider, kind: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"):
        monkeypatch.setenv(variable, "sk-of-somebody-else")
    settings = settings_for(provider, kind, "steady")
    settings.api_key = None
    await ask(settings)
    assert "sk-of-somebody-else" not in str(provider.calls[0].headers)


@pytest.mark.parametrize("kind", PROVIDERS)
def test_a_provider_without_a_model_or_a_key_is_refused_with_the_variable_to_set(kind: Provider) -> None:
    with pytest.raises(ValidationError, match="APP_LANGUAGE_MODEL__MODEL"):
        LanguageModelSettings(provider=kind, api_key=SecretStr(KEY))
    with pytest.raises(ValidationError, match="APP_LANGUAGE_MODEL__API_KEY"):
        LanguageModelSettings(provider=kind, model="some")


def test_blank_variables_of_an_environment_file_are_read_as_not_set() -> None:
    blank = {"provider": "offline", "model": "", "base_url": "", "api_key": ""}
    assert LanguageModelSettings.model_validate(blank) == LanguageModelSettings()


def test_an_unknown_setting_is_refused() -> None:
    with pytest.raises(ValidationError, match="modle"):
        LanguageModelSettings.model_validate({"modle": "some"})
