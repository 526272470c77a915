"""Tokenize callers' inputs, and reject those that are too long for the model."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tokenizers import Encoding, Tokenizer

from app.errors import StartupError, UnprocessableError
from app.inference.token_thread import TokenThread

MAX_TOTAL_TOKENS = 300_000
# Inputs of exported text models. Token types, which not every model has, tell two texts apart; all 0 for one text.
IDS, MASK, TYPES = "input_ids", "attention_mask", "token_type_ids"


class TextModel(Protocol):
    """The name and the token limit of a text model, for checks of its inputs."""

    @property
    def name(self) -> str:
        """The model's name."""

    @property
    def max_tokens(self) -> int:
        """The most tokens that it reads of a text."""


def read_tokenizer(folder: Path) -> Tokenizer:
    """Read the `tokenizer.json` of a folder.

    Raises:
        StartupError: the file is missing or not a valid tokenizer.
    """
    path = folder / "tokenizer.json"
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing more specific
        raise StartupError(f"{path} is not a valid tokenizer: {error}") from error


def open_tokenizer(folder: Path, max_tokens: int) -> Tokenizer:
    """Open the `tokenizer.json` of a folder with truncation at `max_tokens`.

    Raises:
        StartupError: the file is missing or not a valid tokenizer.
    """
    tokenizer = read_tokenizer(folder)
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_tokens)
    return tokenizer


def open_counter(folder: Path) -> Tokenizer:
    """Open the `tokenizer.json` of a folder without truncation, for counting tokens.

    Raises:
        StartupError: the file is missing or not a valid tokenizer.
    """
    tokenizer = read_tokenizer(folder)
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


async def read_inputs(
    inputs: Sequence[str | list[int]],
    tokenizer: Tokenizer,
    model: TextModel,
    thread: TokenThread,
    *,
    within: float | None = None,
) -> list[list[int]]:
    """Tokenize inputs like `read_whole`, long ones in the thread, within `within` seconds.

    Raises:
        OverloadedError: the inputs cannot be tokenized in time.
        UnavailableError: the service is shutting down.
        UnprocessableError: see `read_whole`.
    """
    return await thread.read(inputs, InputReader(tokenizer, model).read, within=within)


def read_whole(inputs: Sequence[str | list[int]], tokenizer: Tokenizer, model: TextModel) -> list[list[int]]:
    """Return the token ids of texts and checked token ids, in order; blocks in proportion to the texts' length.

    Args:
        inputs: texts, or lists of token ids below 2**32, which must include the special tokens.
        tokenizer: the model's tokenizer, with truncation at the model's limit.
        model: the model that the inputs are for.

    Raises:
        UnprocessableError: an input exceeds the model's limit or has an id that the tokenizer does not know, or the
            inputs have more than `MAX_TOTAL_TOKENS` tokens in total.
    """
    return InputReader(tokenizer, model).read(inputs, 0)


@dataclass(slots=True)
class InputReader:
    """Tokenizes and checks the inputs of one request, slice by slice.

    Attributes:
        total: number of tokens so far.
    """

    tokenizer: Tokenizer
    model: TextModel
    total: int = 0

    def read(self, inputs: Sequence[str | list[int]], first: int) -> list[list[int]]:
        """Tokenize a slice of the inputs like `read_whole`; `first` is the index of its first input."""
        encodings = iter(self.tokenizer.encode_batch_fast([each for each in inputs if isinstance(each, str)]))
        tokenized = [next(encodings) if isinstance(each, str) else each for each in inputs]
        for index, each in enumerate(tokenized, first):
            _check_length(index, _length(each, self.tokenizer), self.model)
        # The length check has rejected every text that was truncated.
        self.total += sum(map(len, tokenized))
        check_total(self.total, "The inputs")
        for index, each in enumerate(tokenized, first):
            if isinstance(each, list):
                _check_ids(index, each, self.tokenizer, self.model)
        return [each if isinstance(each, list) else each.ids for each in tokenized]


def check_total(tokens: int, what: str) -> None:
    """Raise UnprocessableError if a request has more than `MAX_TOTAL_TOKENS` tokens; `what` names the inputs."""
    if tokens > MAX_TOTAL_TOKENS:
        raise UnprocessableError(
            f"{what} have more than {MAX_TOTAL_TOKENS:,} tokens together, which is the most that a request may have: "
            "send several requests."
        )


def _length(text: Encoding | list[int], tokenizer: Tokenizer) -> int:
    """Return the number of tokens, including those that the tokenizer has truncated."""
    if isinstance(text, list):
        return len(text)
    # Each truncated part has its own special tokens.
    special = tokenizer.num_special_tokens_to_add(is_pair=False)
    return len(text) + sum(len(part) - special for part in text.overflowing)


def _check_length(index: int, length: int, model: TextModel) -> None:
    if length > model.max_tokens:
        raise UnprocessableError(
            f"Input {index} has {length:,} tokens, but {model.name} reads at most {model.max_tokens:,}: "
            "split or shorten it."
        )


def _check_ids(index: int, ids: list[int], tokenizer: Tokenizer, model: TextModel) -> None:
    unknown = next((token for token in ids if tokenizer.id_to_token(token) is None), None)
    if unknown is not None:
        raise UnprocessableError(
            f"Input {index} has the token id {unknown}, which {model.name} does not know: "
            "use this model's own tokenizer, or send text."
        )
