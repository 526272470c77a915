"""Tokenizes pairs of a query and a document; only the document is truncated."""

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
    """A query and a document as a cross-encoder reads them.

    Attributes:
        ids: tokens of both, with the special ones.
        types: 0 for those of the query, 1 for those of the document, if the tokenizer tells them apart.
    """

    ids: list[int]
    types: list[int]


@dataclass(frozen=True, slots=True)
class PairReader:
    """Tokenizes pairs of texts.

    Attributes:
        tokenizer: neither pads nor cuts.
        max_tokens: the most that a pair may have.
        padding: the token that fills up what is shorter than others.
    """

    tokenizer: Tokenizer
    max_tokens: int
    padding: int

    async def read(
        self, query: str, documents: Sequence[str], thread: TokenThread, *, within: float | None = None
    ) -> list[Pair]:
        """Tokenize a query with each document, cut to what the query leaves room for; in the thread if that is long.

        Raises:
            OverloadedError: the query, or what is left, cannot be read within so many seconds.
            UnavailableError: the service is going down.
            UnprocessableError: the query leaves no room for documents, or all pairs together have too many tokens.
        """
        [joining] = await thread.read([query], lambda queries, _: [self.begin(queries[0])], within=within)
        beside = self.max_tokens - joining.room
        check_total(len(documents) * beside, PAIRS)
        return await thread.read(documents, joining.read, beside=beside, within=within)

    def begin(self, query: str) -> "Joining":
        """Tokenize a query; blocks.

        Raises:
            UnprocessableError: it leaves no room for documents.
        """
        asked = self.tokenizer.encode(query, add_special_tokens=False)
        room = self.max_tokens - len(asked) - self.tokenizer.num_special_tokens_to_add(is_pair=True)
        if room < 1:
            raise UnprocessableError(
                f"The query has {len(asked):,} tokens, which leaves no room for a document in the "
                f"{self.max_tokens:,} that the model reads of both: make it shorter."
            )
        return Joining(self.tokenizer, asked, room)


@dataclass(slots=True)
class Joining:
    """Tokenizes the pairs of one query, in slices of the documents.

    Attributes:
        asked: the query.
        room: tokens that are left for a document.
        total: tokens so far.
    """

    tokenizer: Tokenizer
    asked: Encoding
    room: int
    total: int = 0

    def read(self, documents: Sequence[str], _first: int = 0) -> list[Pair]:
        """Tokenize documents, cut to the room, beside the query; blocks.

        Raises:
            UnprocessableError: all pairs so far have too many tokens together.
        """
        pairs: list[Pair] = []
        for document in self.tokenizer.encode_batch_fast(list(documents), add_special_tokens=False):
            document.truncate(self.room)
            whole = self.tokenizer.post_process(self.asked, document)
            pairs.append(Pair(whole.ids, whole.type_ids))
            self.total += len(whole)
            check_total(self.total, PAIRS)
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
