"""A limit on the cost of parsing JSON, estimated beforehand from its commas, colons and opening brackets.

Parsing JSON blocks all threads. Ten megabytes take a few hundredths of a second if they are one string, half a second
if they are numbers or empty lists, and over a second if they are object keys: the number of values matters, not the
bytes.
"""

import sys

from app.errors import PayloadTooLargeError
from app.inference.token_input import MAX_TOTAL_TOKENS

# Enough for a request with the most tokens, and its other fields. Texts need fewer: in prose, one character in sixty is
# a comma.
MOST_MARKS = MAX_TOTAL_TOKENS + 20_000
# A colon counts twice, because a name takes as long as several numbers.
MARKS = b",[{::"


def count_marks(content: bytes) -> int:
    """Count the marks in a piece of JSON."""
    return sum(map(content.count, MARKS))


def check_marks(marks: int) -> None:
    """Check that JSON with so many marks may be parsed.

    Raises:
        PayloadTooLargeError: there are more than `MOST_MARKS`.
    """
    if marks > MOST_MARKS:
        raise PayloadTooLargeError(
            f"JSON may have at most {MOST_MARKS:,} commas, opening brackets and colons, which count twice: "
            "send several requests, or tensors as binary data."
        )


def limit_integer_digits() -> None:
    """Limit integers to 640 digits, the lowest limit that Python accepts: parsing takes quadratic time."""
    sys.set_int_max_str_digits(sys.int_info.str_digits_check_threshold)
