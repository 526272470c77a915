"""Language models of providers that speak OpenAI's or Anthropic's protocol."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from itertools import groupby

import httpx2
import structlog
from pydantic_ai import exceptions as vendor
from pydantic_ai import messages as wire
from pydantic_ai.direct import model_request_stream
from pydantic_ai.models import Model, StreamedResponse
from pydantic_ai.settings import ModelSettings

from app.adapters.language_model import LanguageModelSettings
from app.chat.ports import Finished, FinishReason, Message, ModelRequest, TextDelta, Usage
from app.errors import UnavailableError, UpstreamError, UpstreamFailedError, UpstreamTimeoutError

log = structlog.get_logger(__name__)

OPENAI_URL = "https://api.openai.com/v1"
ANTHROPIC_URL = "https://api.anthropic.com"
NO_KEY = "none"  # an empty key would make the SDKs look for one in the environment
LOGGED_CHARACTERS = 300
REASONS: dict[str, FinishReason] = {"stop": "stop", "length": "length", "content_filter": "content_filter"}


class PydanticAiLanguageModel:
    """A provider's model. A request is tried once: another try is the caller's choice."""

    def __init__(self, model: Model, settings: LanguageModelSettings) -> None:
        self._model = model
        self._settings = settings

    @property
    def name(self) -> str:
        """Provider and model, such as `openai:gpt-5`."""
        return f"{self._settings.provider}:{self._settings.model}"

    async def stream(self, request: ModelRequest) -> AsyncGenerator[TextDelta | Finished, None]:
        """Answer piece by piece; closing the iterator ends the request to the provider."""
        clock = asyncio.get_running_loop().time
        end = clock() + self._settings.total_timeout
        started = False
        async with aclosing(self._events(request)) as events:
            while True:
                patience = self._settings.idle_timeout if started else self._settings.first_token_timeout
                try:
                    async with asyncio.timeout_at(min(end, clock() + patience)):
                        event = await anext(events)
                except (vendor.AgentRunError, httpx2.HTTPError, TimeoutError) as error:
                    self._report(error, started=started)
                    # The provider's words are in the log, masked; a cause would carry them further.
                    raise _translated(error, started=started) from None
                started = True
                if isinstance(event, Finished) or event.text:
                    yield event
                if isinstance(event, Finished):
                    return

    async def _events(self, request: ModelRequest) -> AsyncGenerator[TextDelta | Finished, None]:
        """Yield what the provider sends; an empty piece is a sign of life, such as hidden reasoning."""
        options = ModelSettings(max_tokens=request.max_tokens)
        history = _history(request.messages)
        async with model_request_stream(self._model, history, model_settings=options, instrument=False) as response:
            async for event in response:
                yield TextDelta(_text(event))
            yield self._finished(response)

    def _finished(self, response: StreamedResponse) -> Finished:
        reason = REASONS.get(response.finish_reason or "")
        if reason is None:
            raise vendor.UnexpectedModelBehavior(f"The finish reason is {response.finish_reason!r}.")
        usage = Usage(response.usage.input_tokens, response.usage.output_tokens)
        return Finished(reason, usage, f"{self._settings.provider}:{response.model_name}")

    def _report(self, error: Exception, *, started: bool) -> None:
        """Tell the operator what failed, without the key, should the provider repeat it."""
        text = str(error)
        if self._settings.api_key:
            text = text.replace(self._settings.api_key.get_secret_value(), "***")
        status = error.status_code if isinstance(error, vendor.ModelHTTPError) else None
        log.warning(
            "language_model.failed",
            model=self.name,
            started=started,
            error=type(error).__name__,
            status=status,
            reason=text[:LOGGED_CHARACTERS],
        )


@asynccontextmanager
async def open_provider_model(settings: LanguageModelSettings) -> AsyncIterator[PydanticAiLanguageModel]:
    """Offer a provider's model over connections that live as long as the block."""
    opened = _open_openai(settings) if settings.provider == "openai" else _open_anthropic(settings)
    async with opened as model:
        yield PydanticAiLanguageModel(model, settings)


@asynccontextmanager
async def _open_openai(settings: LanguageModelSettings) -> AsyncIterator[Model]:
    from openai import AsyncOpenAI, Timeout  # noqa: PLC0415 - only the chosen provider's SDK is loaded
    from pydantic_ai.models.openai import OpenAIChatModel  # noqa: PLC0415 - as above
    from pydantic_ai.profiles.openai import OpenAIModelProfile  # noqa: PLC0415 - as above
    from pydantic_ai.providers.openai import OpenAIProvider  # noqa: PLC0415 - as above
    from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider  # noqa: PLC0415 - as above

    async with AsyncOpenAI(
        api_key=_key(settings),
        base_url=settings.base_url or OPENAI_URL,
        timeout=Timeout(settings.total_timeout, connect=settings.connect_timeout),
        max_retries=0,
    ) as client:
        provider = (
            OpenAICompatibleProvider("openai-compatible", openai_client=client)
            if settings.base_url
            else OpenAIProvider(openai_client=client)
        )
        profile = OpenAIModelProfile(openai_chat_streaming_requires_finish_reason=True)
        yield OpenAIChatModel(_model_name(settings), provider=provider, profile=profile)


@asynccontextmanager
async def _open_anthropic(settings: LanguageModelSettings) -> AsyncIterator[Model]:
    from anthropic import AsyncAnthropic, Timeout  # noqa: PLC0415 - only the chosen provider's SDK is loaded
    from pydantic_ai.models.anthropic import AnthropicModel  # noqa: PLC0415 - as above
    from pydantic_ai.providers.anthropic import AnthropicProvider  # noqa: PLC0415 - as above

    async with AsyncAnthropic(
        api_key=_key(settings),
        base_url=settings.base_url or ANTHROPIC_URL,
        timeout=Timeout(settings.total_timeout, connect=settings.connect_timeout),
        max_retries=0,
    ) as client:
        yield AnthropicModel(_model_name(settings), provider=AnthropicProvider(anthropic_client=client))


def _key(settings: LanguageModelSettings) -> str:
    return settings.api_key.get_secret_value() if settings.api_key else NO_KEY


def _model_name(settings: LanguageModelSettings) -> str:
    return settings.model or ""


def _history(messages: Sequence[Message]) -> list[wire.ModelMessage]:
    """Put a conversation into pydantic-ai's terms; turns of one role in a row become one, as some servers demand."""
    history: list[wire.ModelMessage] = []
    for role, group in groupby(messages, key=lambda message: message.role):
        text = "\n\n".join(message.content for message in group)
        match role:
            case "system":
                history.append(wire.ModelRequest(parts=[wire.SystemPromptPart(text)]))
            case "user":
                history.append(wire.ModelRequest(parts=[wire.UserPromptPart(text)]))
            case "assistant":
                history.append(wire.ModelResponse(parts=[wire.TextPart(text)]))
    return history


def _text(event: wire.ModelResponseStreamEvent) -> str:
    """Take the text out of an event; empty if it carries none for the reader."""
    match event:
        case wire.PartStartEvent(part=wire.TextPart(content=text)):
            return text
        case wire.PartDeltaEvent(delta=wire.TextPartDelta(content_delta=text)):
            return text
        case _:
            return ""


def _translated(error: Exception, *, started: bool) -> UpstreamError:
    """Put a provider's failure into the service's terms."""
    match error:
        case TimeoutError() | vendor.ModelTimeoutError() | httpx2.TimeoutException():
            doing = "fell silent in the middle of its answer" if started else "did not answer in time"
            return UpstreamTimeoutError(f"The language model {doing}.")
        case vendor.ModelRateLimitError() | vendor.ModelUnavailableError() | vendor.ModelServerError():
            return UnavailableError("The language model is overloaded or out of order; try again later.")
        case vendor.ModelContextWindowExceededError():
            return UpstreamFailedError("The request is too long for the language model.")
        case vendor.ModelConnectionError() | httpx2.TransportError() if not started:
            return UnavailableError("The language model cannot be reached.")
        case vendor.ModelRequestRejectedError() | vendor.ModelQuotaExceededError():
            return UpstreamFailedError("The language model's provider refused the request; the log says why.")
        case _:
            return UpstreamFailedError("The language model's answer broke off or could not be read.")
