"""What callers want embedded, as token ids, refused where the model could not read all of it."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from tokenizers import Encoding, Tokenizer

from app.errors import StartupError, UnprocessableError

MAX_TOTAL_TOKENS = 300_000
# Characters, or token ids, that are read sooner than a thread is told to.
AT_ONCE = 2000
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


async def read_inputs(inputs: Sequence[str | list[int]], tokenizer: Tokenizer, model: TokenReader) -> list[list[int]]:
    """Do what `read_whole` does, in a thread if it would keep the event loop."""
    if sum(map(len, inputs)) <= AT_ONCE:
        return read_whole(inputs, tokenizer, model)
    return await asyncio.to_thread(read_whole, inputs, tokenizer, model)


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
    encodings = iter(tokenizer.encode_batch_fast([each for each in inputs if isinstance(each, str)]))
    tokenized = [next(encodings) if isinstance(each, str) else each for each in inputs]
    _check_lengths([_length(each, tokenizer) for each in tokenized], model)
    for index, each in enumerate(tokenized):
        if isinstance(each, list):
            _check_ids(index, each, tokenizer, model)
    return [each if isinstance(each, list) else each.ids for each in tokenized]


def _length(text: Encoding | list[int], tokenizer: Tokenizer) -> int:
    """Count all tokens, with those that the tokenizer has cut off."""
    if isinstance(text, list):
        return len(text)
    # Every part that was cut off has special tokens of its own.
    special = tokenizer.num_special_tokens_to_add(is_pair=False)
    return len(text) + sum(len(part) - special for part in text.overflowing)


def _check_lengths(lengths: Sequence[int], model: TokenReader) -> None:
    for index, length in enumerate(lengths):
        if length > model.max_tokens:
            raise UnprocessableError(
                f"Input {index} has {length:,} tokens, but {model.name} reads at most {model.max_tokens:,}: "
                "split it, or leave something out."
            )
    if sum(lengths) > MAX_TOTAL_TOKENS:
        raise UnprocessableError(
            f"The inputs have {sum(lengths):,} tokens together, but a request may have at most {MAX_TOTAL_TOKENS:,}: "
            "send them in several requests."
        )


def _check_ids(index: int, ids: list[int], tokenizer: Tokenizer, model: TokenReader) -> None:
    unknown = next((token for token in ids if tokenizer.id_to_token(token) is None), None)
    if unknown is not None:
        raise UnprocessableError(
            f"Input {index} has the token id {unknown}, which {model.name} does not know: "
            "use this model's own tokenizer, or send text."
        )
