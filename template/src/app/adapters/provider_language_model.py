"""Language models of providers with OpenAI's or Anthropic's protocol, through pydantic-ai."""

import asyncio
import math
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager

import httpx2
import structlog
from pydantic_ai import exceptions as vendor
from pydantic_ai.direct import model_request_stream
from pydantic_ai.models import Model, StreamedResponse
from pydantic_ai.settings import ModelSettings

from app.adapters.event_merging import merge_waiting_events
from app.adapters.language_model import ProviderSettings
from app.adapters.provider_requests import EventReader, anthropic_body, openai_body, write_history
from app.adapters.surrogates import SurrogateJoiner, join_surrogates
from app.adapters.tls import tls_context
from app.chat.ports import Finished, FinishReason, Hidden, ModelEvent, ModelRequest, TextDelta, Usage
from app.errors import (
    AppError,
    BrokenOffError,
    ProviderBusyError,
    RequestRefusedError,
    ServiceRefusedError,
    UnavailableError,
    UpstreamError,
    UpstreamFailedError,
    UpstreamTimeoutError,
)

log = structlog.get_logger(__name__)

OPENAI_URL = "https://api.openai.com/v1"
ANTHROPIC_URL = "https://api.anthropic.com"
NO_KEY = "none"  # an empty key would make the SDKs look for one in the environment
CODE = re.compile(r"[\w.-]{1,64}")
LONGEST_RETRY_AFTER = 3600
SIGN_OF_LIFE = TextDelta("")
REASONS: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "content_filter": "content_filter",
    "tool_call": "tool_calls",
}
# HTTP statuses of rejected requests; None if the library or an error in the stream rejects the request.
FAULTY = (400, 422, None)


class PydanticAiLanguageModel:
    """A provider's model. It makes one attempt per request; retries are up to the caller.

    Args:
        provider: name of the provider in the settings.
        model: the model in pydantic-ai.
        settings: the provider's settings.
    """

    def __init__(self, provider: str, model: Model, settings: ProviderSettings) -> None:
        self._provider = provider
        self._model = model
        self._settings = settings

    @property
    def name(self) -> str:
        """Provider and model, such as `openai:gpt-5`."""
        return f"{self._provider}:{self._model.model_name}"

    @property
    def fallbacks(self) -> Sequence[str]:
        """Always empty."""
        return ()

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent | Hidden, None]:
        """Stream the answer; closing the iterator ends the request to the provider."""
        clock = asyncio.get_running_loop().time
        end = min(clock() + self._settings.total_timeout, request.deadline or math.inf)
        started = False
        async with aclosing(self._events(request)) as events:
            while True:
                patience = self._settings.idle_timeout if started else self._settings.first_token_timeout
                try:
                    async with asyncio.timeout_at(min(end, clock() + patience)):
                        event = await anext(events)
                except AppError:
                    raise
                except Exception as error:  # noqa: BLE001 - malformed responses can raise anything in the library
                    self._report(error, started=started)
                    # The cause would log the provider's message, which may repeat the prompt.
                    raise _translated(error, started=started) from None
                started = True
                if event != SIGN_OF_LIFE:
                    passed_on = clock()
                    yield event
                    end += clock() - passed_on  # the consumer's time does not count against the provider
                if isinstance(event, Finished):
                    return

    async def _events(self, request: ModelRequest) -> AsyncGenerator[ModelEvent | Hidden, None]:
        """Yield the provider's events; an empty piece only shows that the provider is alive."""
        body = openai_body(request) if self._settings.protocol == "openai" else anthropic_body(request, self._model)
        options = ModelSettings(max_tokens=request.max_tokens, extra_body=body)
        history = write_history(request.messages)
        reader, joiner = EventReader(), SurrogateJoiner()
        async with model_request_stream(self._model, history, model_settings=options, instrument=False) as response:
            async for event in response:
                read = reader.read(event)
                for piece in [read] if isinstance(read, Hidden) else joiner.join(read):
                    yield piece
            for piece in (*joiner.end(), *reader.end()):
                yield piece
            yield self._finished(response)

    def _finished(self, response: StreamedResponse) -> Finished:
        reason = REASONS.get(response.finish_reason or "")
        if reason is None:
            raise vendor.UnexpectedModelBehavior(f"The finish reason is {response.finish_reason!r}.")
        taken = response.usage
        usage = Usage(taken.input_tokens, taken.output_tokens, taken.cache_read_tokens)
        return Finished(reason, usage, join_surrogates(f"{self._provider}:{response.model_name}"))

    def _report(self, error: Exception, *, started: bool) -> None:
        """Log the failure without the provider's message, which may repeat the prompt or the key."""
        known = error if isinstance(error, vendor.ModelAPIError) else None
        log.warning(
            "language_model.failed",
            model=self.name,
            started=started,
            error=type(error).__name__,
            status=_status(error),
            code=_code(known.provider_error_code) if known else None,
            type=_code(known.provider_error_type) if known else None,
        )


@asynccontextmanager
async def open_provider(
    name: str, settings: ProviderSettings
) -> AsyncIterator[Callable[[str], PydanticAiLanguageModel]]:
    """Yield a function that returns a provider's models by name; they share connections, closed on exit."""
    opened = _open_openai(settings) if settings.protocol == "openai" else _open_anthropic(settings)
    async with opened as model:
        yield lambda model_name: PydanticAiLanguageModel(name, model(model_name), settings)


@asynccontextmanager
async def _open_openai(settings: ProviderSettings) -> AsyncIterator[Callable[[str], Model]]:
    from openai import AsyncOpenAI, DefaultAsyncHttpxClient, Timeout  # noqa: PLC0415 - only the chosen provider's SDK is loaded
    from pydantic_ai.models.openai import OpenAIChatModel  # noqa: PLC0415 - as above
    from pydantic_ai.profiles.openai import OpenAIModelProfile  # noqa: PLC0415 - as above
    from pydantic_ai.providers.openai import OpenAIProvider  # noqa: PLC0415 - as above
    from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider  # noqa: PLC0415 - as above

    async with AsyncOpenAI(
        api_key=_key(settings),
        base_url=settings.base_url or OPENAI_URL,
        timeout=Timeout(settings.total_timeout, connect=settings.connect_timeout),
        max_retries=0,
        http_client=DefaultAsyncHttpxClient(event_hooks={"response": [merge_waiting_events]}, verify=tls_context()),
    ) as client:
        provider = (
            OpenAICompatibleProvider("openai-compatible", openai_client=client)
            if settings.base_url
            else OpenAIProvider(openai_client=client)
        )
        profile = OpenAIModelProfile(openai_chat_streaming_requires_finish_reason=True)
        yield lambda model_name: OpenAIChatModel(model_name, provider=provider, profile=profile)


@asynccontextmanager
async def _open_anthropic(settings: ProviderSettings) -> AsyncIterator[Callable[[str], Model]]:
    from anthropic import AsyncAnthropic, DefaultAsyncHttpxClient, Timeout  # noqa: PLC0415 - only the chosen provider's SDK is loaded
    from pydantic_ai.models.anthropic import AnthropicModel  # noqa: PLC0415 - as above
    from pydantic_ai.providers.anthropic import AnthropicProvider  # noqa: PLC0415 - as above

    async with AsyncAnthropic(
        api_key=_key(settings),
        base_url=settings.base_url or ANTHROPIC_URL,
        timeout=Timeout(settings.total_timeout, connect=settings.connect_timeout),
        max_retries=0,
        http_client=DefaultAsyncHttpxClient(event_hooks={"response": [merge_waiting_events]}, verify=tls_context()),
    ) as client:
        provider = AnthropicProvider(anthropic_client=client)
        yield lambda model_name: AnthropicModel(model_name, provider=provider)


def _key(settings: ProviderSettings) -> str:
    return settings.api_key.get_secret_value() if settings.api_key else NO_KEY


def _status(error: Exception) -> int | None:
    return error.status_code if isinstance(error, vendor.ModelHTTPError) else None


def _code(value: object) -> str | None:
    """Return a provider's error code if it is a single short word; some servers send numbers or messages."""
    return value if isinstance(value, str) and CODE.fullmatch(value) else None


def _retry_after(error: vendor.ModelAPIError) -> int | None:
    """Return the provider's Retry-After in whole seconds, at most an hour; None if it sent none."""
    return None if error.retry_after is None else min(max(math.ceil(error.retry_after), 1), LONGEST_RETRY_AFTER)


def _translated(error: Exception, *, started: bool) -> UpstreamError:
    """Convert a provider's failure into an error of the service."""
    failure: UpstreamError
    match error:
        case TimeoutError() | vendor.ModelTimeoutError() | httpx2.TimeoutException():
            doing = "fell silent in the middle of its answer" if started else "did not answer in time"
            failure = UpstreamTimeoutError(f"The language model {doing}.")
        case vendor.ModelRateLimitError():
            failure = ProviderBusyError("The language model is busy; try again later.", retry_after=_retry_after(error))
        case vendor.ModelUnavailableError() | vendor.ModelServerError():
            detail = "The language model is overloaded or unavailable; try again later."
            failure = UnavailableError(detail, retry_after=_retry_after(error))
        case vendor.ModelConnectionError() | httpx2.TransportError() if not started:
            failure = UnavailableError("The language model cannot be reached.")
        case vendor.ModelConnectionError() | httpx2.TransportError():
            failure = BrokenOffError("The connection to the language model broke in the middle of its answer.")
        case vendor.UserError() | vendor.ModelRequestRejectedError() if _status(error) in FAULTY:
            too_long = isinstance(error, vendor.ModelContextWindowExceededError)
            why = "is too long for the language model" if too_long else "is rejected by the language model"
            failure = RequestRefusedError(f"The request {why}.")
        case vendor.ModelRequestRejectedError():
            detail = "The language model's provider rejects this service's key or model name; see the log."
            failure = ServiceRefusedError(detail)
        case vendor.ModelHTTPError(status_code=413):
            failure = RequestRefusedError("The request is too long for the language model.")
        case vendor.ModelQuotaExceededError():
            failure = UpstreamFailedError("The account with the language model's provider is exhausted.")
        case _:
            failure = UpstreamFailedError("The language model's answer was incomplete or could not be read.")
    return failure
