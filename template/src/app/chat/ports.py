"""The language model port: requests, stream events, and the protocols that chat depends on."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Protocol

from app.auth.caller import Caller
from app.chat.wording import texts_of, unescaped
from app.prompts.service import FilledPrompt, PromptChoice
from app.usage.admission import Admission
from app.usage.measurement import Expectation, Measurement

Role = Literal["system", "user", "assistant", "tool"]
FinishReason = Literal["stop", "length", "content_filter", "tool_calls"]

# The model name for requests that choose none.
DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A function call that the model requests; `arguments` is the JSON that it wrote, which may be invalid."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation.

    Attributes:
        tool_calls: calls that a message of the assistant requests.
        tool_call_id: the call that a message of a tool answers.
    """

    role: Role
    content: str
    tool_calls: Sequence[ToolCall] = ()
    tool_call_id: str | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """A text that the answer may use, cited as `[marker]`."""

    marker: int
    text: str


# Without slots: cached_property needs a __dict__. A schema may be large, so it is serialized only once.
@dataclass(frozen=True)
class Tool:
    """A function that the model may call; `parameters` is a JSON Schema."""

    name: str
    description: str | None = None
    parameters: Mapping[str, Any] | None = None
    strict: bool | None = None

    @cached_property
    def texts(self) -> Sequence[str]:
        """What the model reads of it, the schema as JSON."""
        return texts_of(self.name, self.description, self.parameters)


@dataclass(frozen=True, slots=True)
class NamedTool:
    """The one function that the model must call."""

    name: str


@dataclass(frozen=True)  # without slots, as above
class JsonSchema:
    """A JSON Schema that the answer must match."""

    name: str
    schema: Mapping[str, Any]
    description: str | None = None
    strict: bool | None = None

    @cached_property
    def texts(self) -> Sequence[str]:
        """What the model reads of it, the schema as JSON."""
        return texts_of(self.name, self.description, self.schema)


ToolChoice = Literal["auto", "none", "required"] | NamedTool
ResponseFormat = Literal["text", "json_object"] | JsonSchema


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """A request to a language model. None leaves an option to the model.

    Attributes:
        messages: the whole conversation, which already contains the sources.
        sources: the same sources as separate texts, for the offline model, which quotes them.
        max_tokens: most tokens of the answer.
        stop: strings before which the answer stops.
        deadline: time on the event loop's clock at which the answer must be complete.
    """

    messages: Sequence[Message]
    sources: Sequence[Source] = ()
    max_tokens: int = 1024
    temperature: float | None = None
    top_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None
    stop: Sequence[str] = ()
    response_format: ResponseFormat = "text"
    tools: Sequence[Tool] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    deadline: float | None = None

    @property
    def texts(self) -> list[str]:
        """All texts that the model reads: messages, tool calls, tools, and the JSON Schema of the answer."""
        calls = [call for message in self.messages for call in message.tool_calls]
        called = [text for call in calls for text in (call.id, call.name, unescaped(call.arguments))]
        answered = [message.tool_call_id for message in self.messages if message.tool_call_id]
        offered = [text for tool in self.tools for text in tool.texts]
        shape = self.response_format.texts if isinstance(self.response_format, JsonSchema) else ()
        return [*(message.content for message in self.messages), *called, *answered, *offered, *shape]


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of a request; `input_tokens` includes the cached ones."""

    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0


@dataclass(frozen=True, slots=True)
class TextDelta:
    """The next piece of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """The next piece of a tool call.

    Attributes:
        index: position of the call in the answer, from 0.
        id: ID of the call, only in its first piece.
        name: name of the function, only in its first piece.
        arguments: the next part of the JSON.
    """

    index: int
    arguments: str
    id: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Finished:
    """The last event of every complete answer."""

    reason: FinishReason
    usage: Usage
    model: str


@dataclass(frozen=True, slots=True)
class ModelAttempt:
    """A model of the chain is called now: the first one or a fallback. Metering consumes this event."""

    model: str


@dataclass(frozen=True, slots=True)
class Hidden:
    """The number of characters of hidden output, such as reasoning. Metering consumes this event."""

    characters: int


ModelEvent = TextDelta | ToolCallDelta | Finished
StreamEvent = ModelEvent | ModelAttempt | Hidden


class LanguageModel(Protocol):
    """A language model, or a chain of them."""

    @property
    def name(self) -> str:
        """Name of the model in answers, such as `openai:gpt-5`."""

    @property
    def fallbacks(self) -> Sequence[str]:
        """Names of the models that may answer instead."""

    def stream(self, request: ModelRequest) -> AsyncGenerator[StreamEvent, None]:
        """Stream the answer; the last event is `Finished`. Closing the generator stops the model.

        A chain yields a `ModelAttempt` for each model that it calls, always before the first piece.

        Raises:
            UnsupportedParameterError: the model does not support an option; nothing was sent to it.
            RequestRefusedError: the provider rejects the request.
            ServiceRefusedError: the provider rejects the key, or has no such model.
            UnavailableError: the provider is unreachable or overloaded.
            UpstreamTimeoutError: the provider sent nothing for too long.
            UpstreamFailedError: the account is exhausted, or the stream broke off or has no finish reason.
        """


class PromptSource(Protocol):
    """Access to the stored prompts."""

    async def fill(self, choice: PromptChoice, *, caller: Caller) -> FilledPrompt:
        """Return a prompt with its variables filled in.

        Raises:
            CallerError: the prompt does not exist or is a draft, or a variable is missing or unknown.
        """


class UsageRecorder(Protocol):
    """Enforces the limits of callers and records their usage."""

    def longest_answer(self, *, caller: Caller) -> int | None:
        """Return the most tokens that an answer to this caller may have; None if its scopes set no limit."""

    async def admit(self, expected: Expectation, *, caller: Caller) -> Admission:
        """Admit a request and reserve what it may take; `record` or `release` must follow.

        Raises:
            TooManyRequestsError: a rate limit or the month's budget of the caller is exhausted.
            PayloadTooLargeError: the request alone exceeds a limit.
            ForbiddenError: the caller has a budget, but the model has no price.
            UnavailableError: the usage records are unreachable.
        """

    async def record(self, measurement: Measurement, admission: Admission) -> None:
        """Record the usage against the caller; failures are logged, not raised."""

    async def release(self, admission: Admission) -> None:
        """Give back what was reserved for a request that did not reach the model."""
