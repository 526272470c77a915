"""Tokenize pairs of a query and a document; only the document is truncated."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Encoding, Tokenizer

from app.errors import UnprocessableError
from app.inference.token_input import check_total, read_tokenizer
from app.inference.token_thread import TokenThread

PAIRS = "The documents, each with the query,"


@dataclass(frozen=True, slots=True)
class Pair:
    """A tokenized query and document.

    Attributes:
        ids: token ids of both, with special tokens.
        types: token types: 0 for the query, 1 for the document, if the tokenizer distinguishes them.
    """

    ids: list[int]
    types: list[int]


@dataclass(frozen=True, slots=True)
class PairReader:
    """Tokenizes pairs of texts.

    Attributes:
        tokenizer: without padding and truncation.
        max_tokens: the most tokens of a pair.
        padding: the id of the padding token.
    """

    tokenizer: Tokenizer
    max_tokens: int
    padding: int

    async def read(
        self, query: str, documents: Sequence[str], thread: TokenThread, *, within: float | None = None
    ) -> list[Pair]:
        """Tokenize a query with each document, truncated to fit; uses the thread if the texts are long.

        Raises:
            OverloadedError: the query, or the documents, cannot be tokenized within `within` seconds.
            UnavailableError: the service is shutting down.
            UnprocessableError: the query leaves no room for documents, or the pairs have too many tokens in total.
        """
        [pair_tokenizer] = await thread.read([query], lambda queries, _: [self.begin(queries[0])], within=within)
        extra_tokens = self.max_tokens - pair_tokenizer.room
        check_total(len(documents) * extra_tokens, PAIRS)
        return await thread.read(documents, pair_tokenizer.read, extra_tokens=extra_tokens, within=within)

    def begin(self, query: str) -> "PairTokenizer":
        """Tokenize a query; blocks.

        Raises:
            UnprocessableError: the query leaves no room for documents.
        """
        encoded = self.tokenizer.encode(query, add_special_tokens=False)
        room = self.max_tokens - len(encoded) - self.tokenizer.num_special_tokens_to_add(is_pair=True)
        if room < 1:
            raise UnprocessableError(
                f"The query has {len(encoded):,} tokens, which leaves no room for a document in the "
                f"{self.max_tokens:,} that the model reads of both: make it shorter."
            )
        return PairTokenizer(self.tokenizer, encoded, room)


@dataclass(slots=True)
class PairTokenizer:
    """Tokenizes the pairs of one query, in slices of the documents.

    Attributes:
        query: the tokenized query.
        room: number of tokens left for a document.
        total: number of tokens so far.
    """

    tokenizer: Tokenizer
    query: Encoding
    room: int
    total: int = 0

    def read(self, documents: Sequence[str], _first: int = 0) -> list[Pair]:
        """Tokenize documents, truncated to the room, and pair each with the query; blocks.

        Raises:
            UnprocessableError: the pairs so far have too many tokens in total.
        """
        pairs: list[Pair] = []
        for document in self.tokenizer.encode_batch_fast(list(documents), add_special_tokens=False):
            document.truncate(self.room)
            whole = self.tokenizer.post_process(self.query, document)
            pairs.append(Pair(whole.ids, whole.type_ids))
            self.total += len(whole)
            check_total(self.total, PAIRS)
        return pairs


def open_pair_reader(folder: Path, max_tokens: int) -> PairReader:
    """Return a reader with the `tokenizer.json` of a folder.

    Raises:
        StartupError: the file is missing or not a valid tokenizer.
    """
    tokenizer = read_tokenizer(folder)
    padding: int = (tokenizer.padding or {}).get("pad_id", 0)
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return PairReader(tokenizer, max_tokens, padding)
