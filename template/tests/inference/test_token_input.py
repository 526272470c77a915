"""Tests of counting the tokens of inputs that a tokenizer would truncate."""

from pathlib import Path

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

from app.errors import UnprocessableError
from app.inference.manifest import EmbeddingModel
from app.inference.token_input import read_whole

MODEL = EmbeddingModel(name="bracketed", version="1", dimension=4, max_tokens=8, folder=Path("unused"))


def bracketing() -> Tokenizer:
    """Return a tokenizer that adds two special tokens, as BERT's does, and has a gap among its ids."""
    made = Tokenizer(WordLevel({"[BEGIN]": 0, "[END]": 1, "word": 2, "rare": 4}, unk_token="word"))
    made.pre_tokenizer = Whitespace()
    made.post_processor = TemplateProcessing(single="[BEGIN] $0 [END]", special_tokens=[("[BEGIN]", 0), ("[END]", 1)])
    made.enable_truncation(MODEL.max_tokens)
    return made


@pytest.fixture
def tokenizer() -> Tokenizer:
    return bracketing()


def test_special_tokens_count_once_however_much_is_cut(tokenizer: Tokenizer) -> None:
    [whole] = read_whole(["word " * 6], tokenizer, MODEL)
    assert whole == [0, *[2] * 6, 1]
    for words in (7, 12, 13, 100):
        with pytest.raises(UnprocessableError, match=f"Input 0 has {words + 2} tokens"):
            read_whole(["word " * words], tokenizer, MODEL)


def test_token_ids_are_read_as_they_are_between_texts(tokenizer: Tokenizer) -> None:
    read = read_whole(["word", [4, 2], "word word"], tokenizer, MODEL)
    assert read == [[0, 2, 1], [4, 2], [0, 2, 2, 1]]


def test_an_id_in_a_gap_of_the_vocabulary_is_unknown(tokenizer: Tokenizer) -> None:
    with pytest.raises(UnprocessableError, match="the token id 3, which bracketed does not know"):
        read_whole([[2, 4, 3]], tokenizer, MODEL)


def test_the_first_of_several_long_inputs_is_named(tokenizer: Tokenizer) -> None:
    with pytest.raises(UnprocessableError, match="Input 1 has 9 tokens, but bracketed reads at most 8"):
        read_whole([[2] * 8, [2] * 9, [2] * 10], tokenizer, MODEL)
