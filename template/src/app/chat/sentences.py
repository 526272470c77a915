"""Splitting of texts into sentences, words and stems, without a language library."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

# fmt: off
# A full stop after one of these does not end a sentence.
ABBREVIATIONS = frozenset((
    "al", "approx", "art", "ca", "cf", "ch", "co", "corp", "dept", "dr", "e.g", "eq", "etc", "fig", "i.e", "inc", "jr",
    "ltd", "max", "min", "mr", "mrs", "ms", "no", "nr", "p", "par", "pp", "prof", "sec", "sr", "st", "vol", "vs",
))
STOP_WORDS = frozenset((
    "a", "about", "after", "all", "also", "an", "and", "any", "are", "aren", "as", "at", "be", "been", "before",
    "being", "but", "by", "can", "could", "did", "didn", "do", "does", "doesn", "doing", "don", "done", "each", "for",
    "from", "get", "give", "had", "has", "have", "having", "he", "her", "him", "his", "how", "i", "if", "in", "into",
    "is", "isn", "it", "its", "just", "me", "more", "most", "much", "my", "no", "not", "of", "on", "only", "or",
    "other", "our", "out", "over", "own", "per", "please", "same", "say", "says", "she", "should", "so", "some",
    "such", "tell", "than", "that", "the", "their", "them", "then", "there", "these", "they", "this", "those",
    "through", "to", "too", "under", "until", "up", "us", "very", "was", "we", "were", "what", "when", "where",
    "which", "while", "who", "whom", "whose", "why", "will", "with", "won", "would", "you", "your",
))
# fmt: on

# Possessive quantifiers and the lookbehind match each run once, from its start; otherwise time grows quadratically.
_END = re.compile(r"(?<![.!?])[.!?]++[\"')\]»”’]*+(?=\s)|[。！？]+")  # noqa: RUF001 - these end Chinese and Japanese sentences
_LINE = re.compile(r"\n+")
_BLANK_LINE = re.compile(r"\n\s*\n")
_LIST_ITEM = re.compile(r"[^\S\n]*+(?:[-*•–]|#{1,6}|\d{1,3}[.)]|\|)\s")  # noqa: RUF001 - the dash opens list items
_ONLY_NUMBER = re.compile(r"\s*(?:\d{1,3}|[A-Za-z])\.$")
_WORD = re.compile(r"\w+(?:['’]\w+)?")  # noqa: RUF001 - the typographic apostrophe
_SHORT_LINE = 50
_LONGEST_ABBREVIATION = 20  # including what may precede it, such as brackets and list indentation
_LONGEST_HEADING = 300
_SUFFIXES = (("ies", "y"), ("ied", "y"), ("ing", ""), ("ed", ""), ("es", ""), ("ly", ""), ("s", ""))
_SHORTEST_STEM = 3


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence and its position: `text` is exactly the characters from `start` to `end`."""

    text: str
    start: int
    end: int


def split_sentences(text: str) -> list[Sentence]:
    """Split a text into its sentences, list items and headings, in order, without surrounding white space."""
    cuts = sorted({0, len(text), *_line_cuts(text), *_stop_cuts(text)})
    pieces = (_trimmed(text, start, end) for start, end in pairwise(cuts))
    return [piece for piece in pieces if piece.text]


def words(text: str) -> list[str]:
    """Return the words of a text, case-folded."""
    return [word.replace("’", "'") for word in _WORD.findall(text.casefold())]  # noqa: RUF001 - as above


def terms(text: str) -> list[str]:
    """Return the stems of a text's words, without stop words."""
    return [stem(word) for word in words(text) if word.partition("'")[0] not in STOP_WORDS]


def stem(word: str) -> str:
    """Return the stem of a case-folded word: its most common English suffixes are removed."""
    word = word.removesuffix("'s")
    for suffix, replacement in _SUFFIXES:
        stemmed = word.removesuffix(suffix) + replacement
        if word.endswith(suffix) and len(stemmed) >= _SHORTEST_STEM and not word.endswith(("ss", "us")):
            word = stemmed
            break
    if len(word) > _SHORTEST_STEM and word[-1] == word[-2] and word[-1] not in "aeiou":
        word = word[:-1]
    return word.removesuffix("e") if len(word) > _SHORTEST_STEM else word


def is_heading(sentence: str) -> bool:
    """Return whether a piece of text looks like a heading rather than a statement."""
    if len(sentence) > _LONGEST_HEADING:
        return False
    if sentence.startswith("#"):
        return True
    unfinished = not sentence.rstrip("\"')”’").endswith((".", "!", "?", ":", ";", "。"))  # noqa: RUF001 - as above
    few = len(words(sentence)) <= 6  # noqa: PLR2004 - titles are rarely longer, statements rarely shorter
    return unfinished and few and not any(character.isdigit() or character == ":" for character in sentence)


def _trimmed(text: str, start: int, end: int) -> Sentence:
    piece = text[start:end]
    start += len(piece) - len(piece.lstrip())
    piece = piece.strip()
    return Sentence(piece, start, start + len(piece))


def _stop_cuts(text: str) -> Iterator[int]:
    """Yield the offsets at which punctuation ends a sentence."""
    for match in _END.finditer(text):
        line = text[max(match.start() - _LONGEST_ABBREVIATION, 0) : match.start()].rpartition("\n")[2]
        last_word = (line.split() or [""])[-1].lstrip("(\"'").casefold()
        abbreviation = match.group().startswith(".") and last_word in ABBREVIATIONS
        goes_on = text[match.end() : match.end() + 2].lstrip()[:1].islower()
        if not abbreviation and not goes_on and not _ONLY_NUMBER.match(line + "."):
            yield match.end()


def _line_cuts(text: str) -> Iterator[int]:
    """Yield the offsets after line breaks at blank lines, list items and headings, not within wrapped paragraphs."""
    longest = max((len(line) for line in text.split("\n")), default=0)
    wrapped = max(_SHORT_LINE, longest * 0.6)
    for match in _LINE.finditer(text):
        line = text[text.rfind("\n", 0, match.start()) + 1 : match.start()]
        opens = text[match.end() : match.end() + 9].lstrip()[:1]
        heading = len(line) < wrapped and (opens.isupper() or opens.isdigit())
        if len(match.group()) > 1 or line.startswith("#") or _LIST_ITEM.match(text, match.end()) or heading:
            yield match.end()
    for match in _BLANK_LINE.finditer(text):
        yield match.end()
