"""What one use of a language model may take, and what it took."""

from collections.abc import Sequence
from dataclasses import dataclass

LOST = "lost"
CACHED = "cached"


@dataclass(frozen=True, slots=True)
class Expectation:
    """The most that one answer may take, before the language model is asked.

    Attributes:
        endpoint: what it is used for, such as `chat.completions`.
        model: who is asked, such as `openai:gpt-5`.
        input_tokens: guessed from the text.
        output_tokens: as many as the answer may have.
        stand_ins: models that may answer in its place.
    """

    endpoint: str
    model: str
    input_tokens: int
    output_tokens: int
    stand_ins: Sequence[str] = ()

    @property
    def tokens(self) -> int:
        """Read and written."""
        return self.input_tokens + self.output_tokens


@dataclass(frozen=True, slots=True)
class Measurement:
    """One answer of a language model, complete or not.

    Attributes:
        endpoint: what it was used for, such as `chat.completions`.
        model: who answered, such as `openai:gpt-5`.
        cached_tokens: those of the input that the provider had in its cache.
        estimated: whether the tokens were guessed from the text, because the provider never told.
        finish_reason: the model's own, or `content_filter` where a guardrail refused the rest, or `cancelled` where
            the caller left, or `failed`, or `cached` where an answer was given again and no model was asked, so that
            there are no tokens, or `lost` where nobody saw the end and the rest is the most that it may have taken.
        first_token_seconds: None where nothing was written.
        prompt_name: the stored prompt that it was written under, with `prompt_version`; None where there was none.
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
