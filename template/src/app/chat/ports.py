"""What a language model is to the rest of the service."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

Role = Literal["system", "user", "assistant"]
FinishReason = Literal["stop", "length", "content_filter"]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Source:
    """A text that the answer may rest on, cited as `[marker]`."""

    marker: int
    text: str


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """What a model is asked.

    Attributes:
        messages: the whole conversation; sources are already written into it for models that read it.
        sources: the same sources on their own, for models that quote instead of writing.
    """

    messages: Sequence[Message]
    sources: Sequence[Source] = ()
    max_tokens: int = 1024


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens that a request took."""

    input_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True)
class TextDelta:
    """The next piece of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Finished:
    """The last event of every complete answer."""

    reason: FinishReason
    usage: Usage
    model: str


class LanguageModel(Protocol):
    """Writes text."""

    @property
    def name(self) -> str:
        """The model as answers name it, such as `openai:gpt-5`."""

    def stream(self, request: ModelRequest) -> AsyncGenerator[TextDelta | Finished, None]:
        """Answer piece by piece; the last event is `Finished`. Closing the generator stops the model.

        Raises:
            UnavailableError: the provider cannot be reached or is overloaded.
            UpstreamTimeoutError: the provider was silent for too long.
            UpstreamFailedError: the provider refused, or its stream ended without a finish reason.
        """
