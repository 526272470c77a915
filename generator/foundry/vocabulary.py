"""The student's vocabulary: the teacher's without the entries that an English service never meets."""

import json
import unicodedata
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

PAD = "[PAD]"
UNKNOWN = "[UNK]"
CJK_START = 0x2E80


@dataclass(frozen=True)
class Vocabulary:
    """The kept entries and where each one stood in the teacher's vocabulary."""

    tokens: tuple[str, ...]
    teacher_ids: NDArray[np.int64]


def reduce_vocabulary(teacher: Tokenizer) -> Vocabulary:
    """Keep padding, unknown and every entry of Latin letters, digits and signs; order is the teacher's."""
    by_id = sorted(teacher.get_vocab().items(), key=lambda item: item[1])
    kept = [(token, number) for token, number in by_id if token in {PAD, UNKNOWN} or _wanted(token)]
    return Vocabulary(tuple(token for token, _ in kept), np.array([number for _, number in kept]))


def student_tokenizer(teacher: Tokenizer, vocabulary: Vocabulary, max_tokens: int) -> Tokenizer:
    """Return the teacher's tokenizer over the kept entries, without special tokens, cut at ``max_tokens``."""
    content = json.loads(teacher.to_str())
    ids = {token: number for number, token in enumerate(vocabulary.tokens)}
    content["model"]["vocab"] = ids
    content["added_tokens"] = [
        {**token, "id": ids[token["content"]]} for token in content["added_tokens"] if token["content"] in ids
    ]
    content["post_processor"] = None
    tokenizer: Tokenizer = Tokenizer.from_str(json.dumps(content))
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_tokens)
    return tokenizer


def _wanted(token: str) -> bool:
    if token.startswith("[") and len(token) > 1:
        return False
    return all(_kept_character(character) for character in token.removeprefix("##"))


def _kept_character(character: str) -> bool:
    if character.isascii():
        return True
    if unicodedata.category(character)[0] in "LM":
        return unicodedata.name(character, "").startswith("LATIN")
    return unicodedata.name(character, "").isascii() and ord(character) < CJK_START
