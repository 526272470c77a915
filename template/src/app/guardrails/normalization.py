"""Normalization of obfuscated texts, which people and models can still read."""

import base64
import binascii
import codecs
import re
import unicodedata
from collections.abc import Iterator
from typing import Literal

MOST_DECODED = 4000  # characters decoded of each encoded section

# Normalizing a run of combining marks takes quadratic time, so texts are normalized in pieces of up to 200 characters.
# They are cut before characters that never combine with the previous one, or after 200 characters without any.
_PIECE = re.compile(r"(?s).{1,200}(?=[ -~\u30a1-\u30fa\u3400-\u9fff]|\Z)|.{200}")
_ACCENTS = re.compile("(?<=[A-Za-z])[\u0300-\u036f]+")
# Zero-width characters, soft hyphens, directional marks, variation selectors; then tags, which are invisible ASCII.
_INVISIBLE = re.compile("[\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff]")
_TAGS = re.compile("[\U000e0020-\U000e007e]{4,}")
_FLAG = re.compile("\U0001f3f4[\U000e0020-\U000e007e]{1,8}\U000e007f")
# Letters of other scripts that look like Latin ones; replaced only in words that mix scripts.
_LOOKALIKES = str.maketrans("аеорсухікмнтвѕјһԁɡαεορυικντ", "aeopcyxikmhtbsjhdgaeopuiknt")
_OTHER_SCRIPT = re.compile("[\u0370-\u04ff]")
_WORD = re.compile(r"[\w@$]{2,40}")
_LEET = str.maketrans("013457@$", "oieastas")
_LEET_SIGN = re.compile("[0134578@$]")
_LETTER = re.compile("[a-z]")
_SPACES = re.compile(r"[^\S\n]+")
_SPELLED = re.compile(r"(?<![^\W_])[a-z](?:[ ._-][a-z]){2,}(?![^\W_])")
_BASE64 = re.compile(r"[A-Za-z0-9+/]{24,}={0,2}")
_HEX = re.compile(r"(?<![0-9A-Za-z])(?:[0-9A-Fa-f]{2}){16,}(?![0-9A-Za-z])")
# Words that injections typically contain, reversed and in ROT13.
_BACKWARDS = ("snoitcurtsni", "selur", "tpmorp")
_ROT13 = ("vafgehpgvbaf", "ehyrf", "cebzcg")


def unmask(text: str) -> str:
    """Normalize a text: lower case, Unicode compatibility forms, no invisible characters, look-alikes or accents."""
    plain = _INVISIBLE.sub("", _normalize("NFKC", text))
    plain = _normalize("NFC", _ACCENTS.sub("", _normalize("NFD", plain))).casefold()
    return _WORD.sub(_without_lookalikes, plain) if _OTHER_SCRIPT.search(plain) else plain


def find_hidden(text: str) -> str:
    """Return the text in invisible tag characters, except those that form flags."""
    hidden = _TAGS.findall(_FLAG.sub("", text)) if max(text, default="") >= "\U000e0020" else []
    return " ".join(tags.translate({code: code - 0xE0000 for code in range(0xE0020, 0xE007F)}) for tags in hidden)


def readings(text: str) -> Iterator[str]:
    """Yield the normalized text and its possible readings: spelled-out words joined, leetspeak, reversed, decoded."""
    unmasked = unmask(text)
    plain = _SPACES.sub(" ", unmasked)
    yield plain
    joined = _SPELLED.sub(lambda letters: re.sub("[^a-z]", "", letters.group()), unmasked)
    loosened = _SPACES.sub(" ", _WORD.sub(_without_digits, joined).replace("_", " "))
    if loosened != plain:
        yield loosened
    if any(word in plain for word in _BACKWARDS):
        yield plain[::-1]
    if any(word in plain for word in _ROT13):
        yield codecs.decode(plain, "rot13")
    for stretch in (*_BASE64.findall(text), *_HEX.findall(text)):
        decoded = _decode(stretch[:MOST_DECODED])
        if decoded:
            yield unmask(decoded)


def _normalize(form: Literal["NFC", "NFD", "NFKC"], text: str) -> str:
    return "".join(unicodedata.normalize(form, piece) for piece in _PIECE.findall(text))


def _without_lookalikes(match: re.Match[str]) -> str:
    word = match.group()
    return word.translate(_LOOKALIKES) if _LETTER.search(word) and _OTHER_SCRIPT.search(word) else word


def _without_digits(match: re.Match[str]) -> str:
    word = match.group()
    return word.translate(_LEET) if _LETTER.search(word) and _LEET_SIGN.search(word) else word


def _decode(stretch: str) -> str:
    """Decode hexadecimal or base64 text; return an empty string if it is neither."""
    try:
        if _HEX.fullmatch(stretch):
            return bytes.fromhex(stretch).decode()
        whole = stretch.rstrip("=")
        whole = whole[: len(whole) - (len(whole) % 4 == 1)]
        return base64.b64decode(whole + "=" * (-len(whole) % 4), validate=True).decode()
    except (binascii.Error, ValueError):
        return ""
