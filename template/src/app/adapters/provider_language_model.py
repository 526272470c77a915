"""Language models of providers that speak OpenAI's or Anthropic's protocol."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager

import httpx2
import structlog
from pydantic_ai import exceptions as vendor
from pydantic_ai.direct import model_request_stream
from pydantic_ai.models import Model, StreamedResponse
from pydantic_ai.settings import ModelSettings

from app.adapters.language_model import LanguageModelSettings
from app.adapters.provider_requests import anthropic_body, openai_body, read_event, write_history
from app.chat.ports import Finished, FinishReason, ModelEvent, ModelRequest, TextDelta, Usage
from app.errors import (
    RequestRefusedError,
    UnavailableError,
    UpstreamError,
    UpstreamFailedError,
    UpstreamTimeoutError,
)

log = structlog.get_logger(__name__)

OPENAI_URL = "https://api.openai.com/v1"
ANTHROPIC_URL = "https://api.anthropic.com"
NO_KEY = "none"  # an empty key would make the SDKs look for one in the environment
LOGGED_CHARACTERS = 300
SIGN_OF_LIFE = TextDelta("")
REASONS: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "content_filter": "content_filter",
    "tool_call": "tool_calls",
}
# The statuses with which a provider finds fault with the request itself; None where its library does, or a stream.
FAULTY = (400, 413, 422, None)


class PydanticAiLanguageModel:
    """A provider's model. A request is tried once: another try is the caller's choice."""

    def __init__(self, model: Model, settings: LanguageModelSettings) -> None:
        self._model = model
        self._settings = settings

    @property
    def name(self) -> str:
        """Provider and model, such as `openai:gpt-5`."""
        return f"{self._settings.provider}:{self._settings.model}"

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
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
                except (vendor.AgentRunError, vendor.UserError, httpx2.HTTPError, TimeoutError) as error:
                    self._report(error, started=started)
                    # The provider's words are in the log, masked; a cause would carry them further.
                    raise _translated(error, started=started) from None
                started = True
                if event != SIGN_OF_LIFE:
                    yield event
                if isinstance(event, Finished):
                    return

    async def _events(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        """Yield what the provider sends; an empty piece is a sign of life, such as hidden reasoning."""
        body = openai_body(request) if self._settings.provider == "openai" else anthropic_body(request, self._model)
        options = ModelSettings(max_tokens=request.max_tokens, extra_body=body)
        history = write_history(request.messages)
        calls: dict[int, int] = {}
        async with model_request_stream(self._model, history, model_settings=options, instrument=False) as response:
            async for event in response:
                yield read_event(event, calls)
            yield self._finished(response)

    def _finished(self, response: StreamedResponse) -> Finished:
        reason = REASONS.get(response.finish_reason or "")
        if reason is None:
            raise vendor.UnexpectedModelBehavior(f"The finish reason is {response.finish_reason!r}.")
        taken = response.usage
        usage = Usage(taken.input_tokens, taken.output_tokens, taken.cache_read_tokens)
        return Finished(reason, usage, f"{self._settings.provider}:{response.model_name}")

    def _report(self, error: Exception, *, started: bool) -> None:
        """Tell the operator what failed, without the key, should the provider repeat it."""
        text = str(error)
        if self._settings.api_key:
            text = text.replace(self._settings.api_key.get_secret_value(), "***")
        log.warning(
            "language_model.failed",
            model=self.name,
            started=started,
            error=type(error).__name__,
            status=_status(error),
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


def _status(error: Exception) -> int | None:
    return error.status_code if isinstance(error, vendor.ModelHTTPError) else None


def _translated(error: Exception, *, started: bool) -> UpstreamError:
    """Put a provider's failure into the service's terms."""
    match error:
        case TimeoutError() | vendor.ModelTimeoutError() | httpx2.TimeoutException():
            doing = "fell silent in the middle of its answer" if started else "did not answer in time"
            return UpstreamTimeoutError(f"The language model {doing}.")
        case vendor.ModelRateLimitError() | vendor.ModelUnavailableError() | vendor.ModelServerError():
            return UnavailableError("The language model is overloaded or out of order; try again later.")
        case vendor.ModelConnectionError() | httpx2.TransportError() if not started:
            return UnavailableError("The language model cannot be reached.")
        case vendor.UserError() | vendor.ModelRequestRejectedError() if _status(error) in FAULTY:
            too_long = isinstance(error, vendor.ModelContextWindowExceededError)
            why = "is too long for the language model" if too_long else "is not one that the language model takes"
            return RequestRefusedError(f"The request {why}.")
        case vendor.ModelRequestRejectedError() | vendor.ModelQuotaExceededError():
            return UpstreamFailedError("The language model's provider refused the request; the log says why.")
        case _:
            return UpstreamFailedError("The language model's answer broke off or could not be read.")
