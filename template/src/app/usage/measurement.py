"""The expected and the actual usage of a call to a language model."""

from collections.abc import Sequence
from dataclasses import dataclass

LOST = "lost"
CACHED = "cached"


@dataclass(frozen=True, slots=True)
class Expectation:
    """The highest usage of a call, before the language model is called.

    Attributes:
        endpoint: such as `chat.completions`.
        model: the requested model, such as `openai:gpt-5`.
        input_tokens: estimated from the text.
        output_tokens: the limit of the answer.
        fallbacks: models that may answer instead.
    """

    endpoint: str
    model: str
    input_tokens: int
    output_tokens: int
    fallbacks: Sequence[str] = ()

    @property
    def tokens(self) -> int:
        """Input and output tokens together."""
        return self.input_tokens + self.output_tokens


@dataclass(frozen=True, slots=True)
class Measurement:
    """The actual usage of a call, whether its answer is complete or not.

    Attributes:
        endpoint: such as `chat.completions`.
        model: the model that answered, such as `openai:gpt-5`.
        cached_tokens: input tokens that the provider had cached.
        estimated: whether the tokens were estimated from the text, because the provider did not report them.
        finish_reason: the model's own, or: `content_filter`, a guardrail rejected the rest; `cancelled`, the caller
            disconnected; `failed`; `cached`, a cached answer without tokens of its own; `lost`, the call never ended
            and the tokens are the most that it may have used.
        first_token_seconds: None if nothing was written.
        prompt_name: the stored prompt, with `prompt_version`; None if there was none.
    """

    endpoint: str
    model: str
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    estimated: bool
    finish_reason: str
    first_token_seconds: float | None
    seconds: float
    prompt_name: str | None = None
    prompt_version: int | None = None
