"""Detection of personal data: e-mail addresses, phone numbers, card numbers and IBANs.

A text is split into clusters: words, and numbers that are written in groups. Each cluster is searched on its own, so
the result does not depend on the text that follows, and is the same for a stream and for the complete text.
"""

import re
from collections.abc import Mapping

from app.guardrails.checksums import IBAN_LENGTHS, is_iban, passes_luhn
from app.guardrails.spans import Scan, Span, redact

LONGEST_WORD = 320  # characters: the longest address that mail allows (RFC 3696)
LONGEST_CLUSTER = 2 * LONGEST_WORD  # long enough to join a number's first groups to any word after them
FEWEST_DIGITS = 8  # of any number that can match

_GAP = " \u00a0\u202f"
_WORD = re.compile(r"[A-Za-z\u00c0-\u024f0-9_.%+@()/'-]{1,320}")
# A word that can be a part of a number in groups: it has a digit, or is a group of letters in an account number.
_GROUP = re.compile(r"[^0-9]*[0-9]|[A-Z]{1,4}[.)]?\Z")
# Nearly all texts do not match this and are not searched further.
_PROMISING = re.compile(r"@|[0-9](?:[^0-9]{0,64}[0-9]){7}")

_EMAIL = re.compile(
    r"(?<![A-Za-z\u00c0-\u024f0-9@._%+-])(?!git@)[A-Za-z\u00c0-\u024f0-9_%+-][A-Za-z\u00c0-\u024f0-9._%+'-]{0,63}"
    # Versions (`pkg@1.2.rc`) and high-resolution images (`logo@2x.png`) are not addresses.
    r"@(?!\d+\.\d|\dx\.)(?:[A-Za-z\u00c0-\u024f0-9](?:[A-Za-z\u00c0-\u024f0-9-]{0,62})\.){1,6}[A-Za-z]{2,24}(?![A-Za-z\u00c0-\u024f0-9_@-])"
)
_IBAN_START = re.compile(r"(?<![A-Za-z0-9_.-])[A-Za-z]{2}[0-9]{2}(?![a-z])")
_CARDS = tuple(
    re.compile(r"(?<![A-Za-z0-9_.+-])" + digits + r"(?![A-Za-z0-9_]|-[A-Za-z0-9])")
    for digits in (
        r"(?:4[0-9]{12}|3[0-9]{13,18}|[2-6][0-9]{15,18})",
        r"[2-6][0-9]{3}([ \u00a0\u202f.-])[0-9]{4}\1[0-9]{4}\1[0-9]{4}\1[0-9]{1,3}",
        r"[2-6][0-9]{3}([ \u00a0\u202f.-])[0-9]{4}\1[0-9]{4}\1[0-9]{4}",
        r"3[0-9]{3}([ \u00a0\u202f.-])[0-9]{6}\1[0-9]{4,5}",
    )
)
# Patterns with the least and the most digits. Groups always have separators, so each number matches in only one way.
_PHONES = tuple(
    (re.compile(r"(?<![A-Za-z0-9_.+-])" + number + r"(?![A-Za-z0-9_]|[.-][A-Za-z0-9])"), fewest, most)
    for number, fewest, most in (
        # +49 (0)30 123456, 0049 30 123456; E.164 has up to 15 digits, plus zeros that are not dialled
        (r"(?:\+|00)[1-9][0-9]{0,14}(?:[ \u00a0\u202f./()-]{1,3}[0-9]{1,12}){0,8}", 8, 17),
        # (555) 123-4567, 1-555-123-4567
        (r"(?:1[ \u00a0\u202f.-])?\([2-9][0-9]{2}\)[ \u00a0\u202f]?[2-9][0-9]{2}[ \u00a0\u202f.-][0-9]{4}", 10, 11),
        (r"(?:1[ \u00a0\u202f.-])?[2-9][0-9]{2}([ \u00a0\u202f.-])[2-9][0-9]{2}\1[0-9]{4}", 10, 11),
        # 030/1234567, (0171) 123 45 67, 01 23 45 67 89
        (r"\(?0[1-9][0-9]{0,4}[ \u00a0\u202f./)-]{1,2}[0-9]{2,10}(?:[ \u00a0\u202f.-][0-9]{2,6}){0,4}", 9, 12),
    )
)
_DATE = re.compile(r"[0-9]{1,2}[./-][0-9]{1,2}[./-][0-9]{2,4}(?![0-9]|[./-][0-9])")
_NOT_DIGIT = re.compile("[^0-9]")
_UUID = re.compile(r"(?<![A-Za-z0-9])[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}(?![A-Za-z0-9])")


def scan_personal_data(text: str, start: int = 0, *, is_whole: bool = True) -> Scan:
    """Find personal data from an offset on; unless `is_whole`, a cluster that may still grow stays unsettled."""
    spans: list[Span] = []
    if is_whole and _PROMISING.search(text, start) is None:
        return Scan(spans, len(text))
    while (bounds := _next_cluster(text, start, is_whole=is_whole)) is not None:
        first, last = bounds
        if last is None:
            return Scan(spans, first)
        found = _find_all(text, first, last)
        spans += found
        # The text after a match may begin another number, so it is split again.
        start = found[-1].end if found else last
    return Scan(spans, len(text))


def redact_personal_data(text: str) -> str:
    """Replace each match with `[email]`, `[phone]`, `[card]` or `[iban]`."""
    return redact(text, scan_personal_data(text).spans)


def redact_values(value: object) -> object:
    """Redact every string in nested mappings and collections; numbers, booleans and None stay unchanged."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {redact_values(key) if isinstance(key, str) else key: redact_values(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [redact_values(each) for each in value]
    return redact_personal_data(value if isinstance(value, str) else repr(value))


def _next_cluster(text: str, start: int, *, is_whole: bool) -> tuple[int, int | None] | None:
    """Return start and end of the next cluster; the end is None while it depends on text to come."""
    word = _WORD.search(text, start)
    if word is None:
        return None
    first = word.start()
    while True:
        end = word.end()
        if end == len(text):
            grows = not is_whole and end - word.start() < LONGEST_WORD
            return first, None if grows else end
        if text[end] not in _GAP or not _GROUP.match(word.group()):
            return first, end
        following = _WORD.match(text, end + 1)
        if following is None:
            return first, None if end + 1 == len(text) and not is_whole else end
        if following.end() - first > LONGEST_CLUSTER:
            return first, end
        if not _GROUP.match(following.group()):
            undecided = following.end() == len(text) and not is_whole
            return first, None if undecided else end
        word = following


def _find_all(text: str, first: int, last: int) -> list[Span]:
    """Return the match of the most reliable kind in a cluster, and all matches to its left."""
    cluster = text[first:last]
    if "@" not in cluster and sum(map(str.isdigit, cluster)) < FEWEST_DIGITS:
        return []
    # The digits of a UUID are not a number; placeholders keep the offsets.
    cluster = _UUID.sub(lambda uuid: "x" * len(uuid.group()), cluster)
    for find in (_find_email, _find_iban, _find_card, _find_phone):
        span = find(cluster)
        if span is not None:
            # The text before the match is split into clusters again.
            spans = [*scan_personal_data(cluster[: span.start]).spans, span]
            return [Span(each.kind, first + each.start, first + each.end) for each in spans]
    return []


def _find_email(cluster: str) -> Span | None:
    match = _EMAIL.search(cluster) if "@" in cluster else None
    return Span("email", *match.span()) if match else None


def _find_iban(cluster: str) -> Span | None:
    for match in _IBAN_START.finditer(cluster):
        length = IBAN_LENGTHS.get(match.group()[:2].upper(), 0)
        end = match.end()
        account = match.group()
        while end < len(cluster) and len(account) < length:
            if cluster[end].isascii() and cluster[end].isalnum():
                account += cluster[end]
            elif cluster[end] not in _GAP + "-" or cluster[end - 1] in _GAP + "-":
                break
            end += 1
        if not cluster[end : end + 1].isalnum() and is_iban(account.upper()):
            return Span("iban", match.start(), end)
    return None


def _find_card(cluster: str) -> Span | None:
    for pattern in _CARDS:
        for match in pattern.finditer(cluster):
            if passes_luhn(_NOT_DIGIT.sub("", match.group())):
                return Span("card", *match.span())
    return None


def _find_phone(cluster: str) -> Span | None:
    for pattern, fewest, most in _PHONES:
        for match in pattern.finditer(cluster):
            digits = len(_NOT_DIGIT.sub("", match.group()))
            if fewest <= digits <= most and not _DATE.match(match.group()):
                return Span("phone", *match.span())
    return None
