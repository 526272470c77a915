"""How much there is to read in JSON, told before it is read by its commas, colons and opening brackets.

Nobody else is served while JSON is read, by whichever thread. Ten megabytes of one text take a few hundredths of a
second, of numbers or empty lists half a second, of names more than one: the values count, not the bytes.
"""

import sys

from app.errors import PayloadTooLargeError
from app.inference.token_input import MAX_TOTAL_TOKENS

# As many as the most tokens of a request need, with what is around them. Texts have fewer: of what people write, one
# character in sixty is a comma.
MOST_MARKS = MAX_TOTAL_TOKENS + 20_000
# A name is looked up and kept, and takes as long as several numbers.
MARKS = b",[{::"


def count_marks(content: bytes) -> int:
    """Count what a piece of JSON adds to the limit."""
    return sum(map(content.count, MARKS))


def check_marks(marks: int) -> None:
    """Pass if JSON with so many marks may be read.

    Raises:
        PayloadTooLargeError: it has too many.
    """
    if marks > MOST_MARKS:
        raise PayloadTooLargeError(
            f"JSON may have at most {MOST_MARKS:,} commas, opening brackets and colons, which count twice: "
            "send several requests, or tensors as binary data."
        )


def limit_numbers() -> None:
    """Let no number have more digits than 640, the least that Python can be told: reading takes their square."""
    sys.set_int_max_str_digits(sys.int_info.str_digits_check_threshold)
