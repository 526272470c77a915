"""What callers want embedded, as token ids, refused where the model could not read all of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tokenizers import Encoding, Tokenizer

from app.errors import StartupError, UnprocessableError
from app.inference.token_thread import TokenThread

MAX_TOTAL_TOKENS = 300_000
# What exported readers of texts take, at most; the last tells two texts apart, and is 0 throughout for a single one.
IDS, MASK, TYPES = "input_ids", "attention_mask", "token_type_ids"


class TokenReader(Protocol):
    """A model that reads texts."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def max_tokens(self) -> int:
        """The most that it reads of a text."""


def read_tokenizer(folder: Path) -> Tokenizer:
    """Read the `tokenizer.json` of a folder.

    Raises:
        StartupError: it holds no tokenizer.
    """
    path = folder / "tokenizer.json"
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing more specific
        raise StartupError(f"{path} is no tokenizer: {error}") from error


def open_tokenizer(folder: Path, max_tokens: int) -> Tokenizer:
    """Open the `tokenizer.json` of a folder, set to cut texts at a limit.

    Raises:
        StartupError: it holds no tokenizer.
    """
    tokenizer = read_tokenizer(folder)
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_tokens)
    return tokenizer


def open_counter(folder: Path) -> Tokenizer:
    """Open the `tokenizer.json` of a folder, set to cut nothing, so that it counts all tokens of a text.

    Raises:
        StartupError: it holds no tokenizer.
    """
    tokenizer = read_tokenizer(folder)
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


async def read_inputs(
    inputs: Sequence[str | list[int]],
    tokenizer: Tokenizer,
    model: TokenReader,
    thread: TokenThread,
    *,
    within: float | None = None,
) -> list[list[int]]:
    """Do what `read_whole` does, in the thread if it would keep the event loop, in so many seconds.

    Raises:
        OverloadedError: it cannot be done in time.
        UnavailableError: the service is going down.
        UnprocessableError: as `read_whole`.
    """
    return await thread.read(inputs, InputReader(tokenizer, model).read, within=within)


def read_whole(inputs: Sequence[str | list[int]], tokenizer: Tokenizer, model: TokenReader) -> list[list[int]]:
    """Tokenize texts and check token ids, in their order; blocks for as long as the texts are long.

    Args:
        inputs: texts, or token ids below 2**32, which are read as they are, special tokens and all.
        tokenizer: cuts at the model's limit.
        model: the model that reads them.

    Raises:
        UnprocessableError: an input is longer than the model's limit or has an id that the tokenizer does not know, or
            all have more than `MAX_TOTAL_TOKENS` tokens together.
    """
    return InputReader(tokenizer, model).read(inputs, 0)


@dataclass(slots=True)
class InputReader:
    """Reads the inputs of one request, one part after the other.

    Attributes:
        total: tokens so far.
    """

    tokenizer: Tokenizer
    model: TokenReader
    total: int = 0

    def read(self, inputs: Sequence[str | list[int]], first: int) -> list[list[int]]:
        """Do what `read_whole` does with a part of the inputs; `first` is the place of its first."""
        encodings = iter(self.tokenizer.encode_batch_fast([each for each in inputs if isinstance(each, str)]))
        tokenized = [next(encodings) if isinstance(each, str) else each for each in inputs]
        for index, each in enumerate(tokenized, first):
            _check_length(index, _length(each, self.tokenizer), self.model)
        # Nothing that is kept has been cut.
        self.total += sum(map(len, tokenized))
        check_total(self.total, "The inputs")
        for index, each in enumerate(tokenized, first):
            if isinstance(each, list):
                _check_ids(index, each, self.tokenizer, self.model)
        return [each if isinstance(each, list) else each.ids for each in tokenized]


def check_total(tokens: int, what: str) -> None:
    """Pass if a request has not too many tokens so far; `what` has them.

    Raises:
        UnprocessableError: it has.
    """
    if tokens > MAX_TOTAL_TOKENS:
        raise UnprocessableError(
            f"{what} have more than {MAX_TOTAL_TOKENS:,} tokens together, which is the most that a request may have: "
            "send several requests."
        )


def _length(text: Encoding | list[int], tokenizer: Tokenizer) -> int:
    """Count all tokens, with those that the tokenizer has cut off."""
    if isinstance(text, list):
        return len(text)
    # Every part that was cut off has special tokens of its own.
    special = tokenizer.num_special_tokens_to_add(is_pair=False)
    return len(text) + sum(len(part) - special for part in text.overflowing)


def _check_length(index: int, length: int, model: TokenReader) -> None:
    if length > model.max_tokens:
        raise UnprocessableError(
            f"Input {index} has {length:,} tokens, but {model.name} reads at most {model.max_tokens:,}: "
            "split it, or leave something out."
        )


def _check_ids(index: int, ids: list[int], tokenizer: Tokenizer, model: TokenReader) -> None:
    unknown = next((token for token in ids if tokenizer.id_to_token(token) is None), None)
    if unknown is not None:
        raise UnprocessableError(
            f"Input {index} has the token id {unknown}, which {model.name} does not know: "
            "use this model's own tokenizer, or send text."
        )
