"""Personal data in a text: e-mail addresses, telephone numbers, card numbers, bank accounts.

A text is cut into clusters: words, and numbers that are written in groups. Each is looked at on its own, so what is
found does not hang on how much of the rest is known, and a stream is judged exactly as the whole text is.
"""

import re
from collections.abc import Mapping

from app.guardrails.checksums import IBAN_LENGTHS, is_iban, passes_luhn
from app.guardrails.spans import Scan, Span, redact

LONGEST_WORD = 320  # characters: the longest address that mail allows (RFC 3696)
LONGEST_CLUSTER = 2 * LONGEST_WORD  # so that a number's first groups are joined to any word behind them
FEWEST_DIGITS = 8  # of any number that is looked for

_GAP = " \u00a0\u202f"
_WORD = re.compile(r"[A-Za-z\u00c0-\u024f0-9_.%+@()/'-]{1,320}")
# A word that can be a part of a number in groups: it has a digit, or is a group of letters in an account number.
_GROUP = re.compile(r"[^0-9]*[0-9]|[A-Z]{1,4}[.)]?\Z")
# Nearly all texts hold none of this; they are not looked at any closer.
_PROMISING = re.compile(r"@|[0-9](?:[^0-9]{0,64}[0-9]){7}")

_EMAIL = re.compile(
    r"(?<![A-Za-z\u00c0-\u024f0-9@._%+-])(?!git@)[A-Za-z\u00c0-\u024f0-9_%+-][A-Za-z\u00c0-\u024f0-9._%+'-]{0,63}"
    # Versions (`pkg@1.2.rc`) and pictures for fine screens (`logo@2x.png`) are no addresses.
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
# Patterns, and how many digits a number has, at least and at most. Groups are always parted: there is one way to match.
_PHONES = tuple(
    (re.compile(r"(?<![A-Za-z0-9_.+-])" + number + r"(?![A-Za-z0-9_]|[.-][A-Za-z0-9])"), fewest, most)
    for number, fewest, most in (
        # +49 (0)30 123456, 0049 30 123456; E.164 has 15 digits, beside the zeros that are not dialled
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
    """Find personal data from an offset on; unless the text is whole, what may still grow stays unsettled."""
    spans: list[Span] = []
    if is_whole and _PROMISING.search(text, start) is None:
        return Scan(spans, len(text))
    while (bounds := _next_cluster(text, start, is_whole=is_whole)) is not None:
        first, last = bounds
        if last is None:
            return Scan(spans, first)
        found = _find_all(text, first, last)
        spans += found
        # What follows a number may begin another: it is cut into clusters anew.
        start = found[-1].end if found else last
    return Scan(spans, len(text))


def redact_personal_data(text: str) -> str:
    """Write `[email]`, `[phone]`, `[card]` or `[iban]` in place of each."""
    return redact(text, scan_personal_data(text).spans)


def redact_values(value: object) -> object:
    """Redact every string in nested mappings and sequences; numbers, booleans and None stay."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {redact_values(key) if isinstance(key, str) else key: redact_values(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [redact_values(each) for each in value]
    return redact_personal_data(value if isinstance(value, str) else repr(value))


def _next_cluster(text: str, start: int, *, is_whole: bool) -> tuple[int, int | None] | None:
    """Find the next words that belong together; the end is None where what follows the text decides it."""
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
    """Find the surest kind of what a cluster holds, and whatever stands to the left of that."""
    cluster = text[first:last]
    if "@" not in cluster and sum(map(str.isdigit, cluster)) < FEWEST_DIGITS:
        return []
    # The digits of a UUID are no number; letters in their place leave everything else where it is.
    cluster = _UUID.sub(lambda uuid: "x" * len(uuid.group()), cluster)
    for find in (_find_email, _find_iban, _find_card, _find_phone):
        span = find(cluster)
        if span is not None:
            # Without what was found, the rest falls into clusters of its own.
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
