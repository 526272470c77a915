"""What a language model is to the rest of the service."""

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

# The name of the language model that is asked where none is named.
DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A function that the model wants called; `arguments` is the JSON that it wrote, right or wrong."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation.

    Attributes:
        tool_calls: what an assistant's turn asked for.
        tool_call_id: which of those calls a tool's turn answers.
    """

    role: Role
    content: str
    tool_calls: Sequence[ToolCall] = ()
    tool_call_id: str | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """A text that the answer may rest on, cited as `[marker]`."""

    marker: int
    text: str


# Without slots, so that a schema, which may be large, is written out once for all who count or check what is read.
@dataclass(frozen=True)
class Tool:
    """A function that the model may ask for; `parameters` is a JSON Schema."""

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
    """The one function that the model has to ask for."""

    name: str


@dataclass(frozen=True)  # without slots, as above
class JsonSchema:
    """The shape that the answer must have."""

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
    """What a model is asked. None leaves a choice to the model.

    Attributes:
        messages: the whole conversation; sources are already written into it for models that read it.
        sources: the same sources on their own, for models that quote instead of writing.
        max_tokens: of the answer, at most.
        stop: the model stops before it writes one of these.
        deadline: on the clock of the event loop, when there is no more time to answer.
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
        """All that the model reads: the messages and the calls in them, the tools, the shape of the answer."""
        calls = [call for message in self.messages for call in message.tool_calls]
        called = [text for call in calls for text in (call.id, call.name, unescaped(call.arguments))]
        answered = [message.tool_call_id for message in self.messages if message.tool_call_id]
        offered = [text for tool in self.tools for text in tool.texts]
        shape = self.response_format.texts if isinstance(self.response_format, JsonSchema) else ()
        return [*(message.content for message in self.messages), *called, *answered, *offered, *shape]


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens that a request took; the cached ones are among the input."""

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
        index: which call of this answer, from 0.
        id: in the first piece of a call only.
        name: in the first piece of a call only.
        arguments: the next characters of the JSON.
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
class Asked:
    """This model is asked now: the first of its chain, or one that stands in. Metering keeps it to itself."""

    model: str


@dataclass(frozen=True, slots=True)
class Hidden:
    """So many characters that the model wrote for nobody to see, such as reasoning. Metering keeps it to itself."""

    characters: int


ModelEvent = TextDelta | ToolCallDelta | Finished
StreamEvent = ModelEvent | Asked | Hidden


class LanguageModel(Protocol):
    """Writes text."""

    @property
    def name(self) -> str:
        """The model as answers name it, such as `openai:gpt-5`."""

    @property
    def stand_ins(self) -> Sequence[str]:
        """Models that may answer in its place."""

    def stream(self, request: ModelRequest) -> AsyncGenerator[StreamEvent, None]:
        """Answer piece by piece; the last event is `Finished`. Closing the generator stops the model.

        A chain of models says whom it asks with `Asked`, always before the first piece.

        Raises:
            UnsupportedParameterError: this model cannot do what is asked for; nothing was sent to it.
            RequestRefusedError: the provider finds fault with the request.
            ServiceRefusedError: the provider does not take the key, or has no such model.
            UnavailableError: the provider cannot be reached or is overloaded.
            UpstreamTimeoutError: the provider was silent for too long.
            UpstreamFailedError: the account is exhausted, or the stream broke off or has no finish reason.
        """


class PromptSource(Protocol):
    """Knows the prompts that operators have written."""

    async def fill(self, choice: PromptChoice, *, caller: Caller) -> FilledPrompt:
        """Fill a prompt in.

        Raises:
            CallerError: there is no such prompt, it cannot be used yet, or a variable is missing or unknown.
        """


class UsageRecorder(Protocol):
    """Keeps account of what models are used for, and callers within their limits."""

    def longest_answer(self, *, caller: Caller) -> int | None:
        """Tell how many tokens an answer to this caller may have; None where the scopes set no ceiling."""

    async def admit(self, expected: Expectation, *, caller: Caller) -> Admission:
        """Let a request through, which is then recorded or released.

        Raises:
            TooManyRequestsError: a limit of the caller is reached for now, or the month's budget.
            PayloadTooLargeError: the request can never be within the limits.
            ForbiddenError: the caller has a budget, and the model no price.
            UnavailableError: the account cannot be looked at.
        """

    async def record(self, measurement: Measurement, admission: Admission) -> None:
        """Put one use on the caller's account; a failure to do so is logged, not raised."""

    async def release(self, admission: Admission) -> None:
        """Give back what was held for a request that did not reach the model."""
