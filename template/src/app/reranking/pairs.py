"""A query and documents as pairs of token ids, of which documents alone are cut."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

from app.errors import UnprocessableError
from app.inference.token_input import MAX_TOTAL_TOKENS, read_tokenizer


@dataclass(frozen=True, slots=True)
class Pair:
    """A query and a document as a cross-encoder reads them.

    Attributes:
        ids: tokens of both, with the special ones.
        types: 0 for those of the query, 1 for those of the document, if the tokenizer tells them apart.
    """

    ids: list[int]
    types: list[int]


@dataclass(frozen=True, slots=True)
class PairReader:
    """Makes pairs of texts.

    Attributes:
        tokenizer: neither pads nor cuts.
        max_tokens: the most that a pair may have.
        padding: the token that fills up what is shorter than others.
    """

    tokenizer: Tokenizer
    max_tokens: int
    padding: int

    def read(self, query: str, documents: Sequence[str]) -> list[Pair]:
        """Tokenize a query with each document, cut to what the query leaves room for; blocks.

        Raises:
            UnprocessableError: the query leaves no room for documents, or all pairs together have too many tokens.
        """
        asked = self.tokenizer.encode(query, add_special_tokens=False)
        room = self.max_tokens - len(asked) - self.tokenizer.num_special_tokens_to_add(is_pair=True)
        if room < 1:
            raise UnprocessableError(
                f"The query has {len(asked):,} tokens, which leaves no room for a document in the "
                f"{self.max_tokens:,} that the model reads of both: make it shorter."
            )
        pairs: list[Pair] = []
        total = 0
        for document in self.tokenizer.encode_batch_fast(list(documents), add_special_tokens=False):
            document.truncate(room)
            whole = self.tokenizer.post_process(asked, document)
            total += len(whole)
            pairs.append(Pair(whole.ids, whole.type_ids))
        if total > MAX_TOTAL_TOKENS:
            raise UnprocessableError(
                f"The query with each document has {total:,} tokens together, but a request may have at most "
                f"{MAX_TOTAL_TOKENS:,}: send the documents in several requests."
            )
        return pairs


def open_pair_reader(folder: Path, max_tokens: int) -> PairReader:
    """Open the `tokenizer.json` of a folder.

    Raises:
        StartupError: it holds no tokenizer.
    """
    tokenizer = read_tokenizer(folder)
    padding: int = (tokenizer.padding or {}).get("pad_id", 0)
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return PairReader(tokenizer, max_tokens, padding)
