"""The outcome of a model for one input."""

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Outcome:
    """One prediction to be recorded.

    Attributes:
        endpoint: what the model was used for, such as `classifications`.
        input_sha256: of the input, in hexadecimal digits.
        outputs: whatever JSON can carry; numbers that are not finite become null.
    """

    endpoint: str
    model: str
    version: str
    input_sha256: str
    outputs: object


def sha256_of(content: bytes | str) -> str:
    """Return the SHA-256 of bytes, or of a text in UTF-8."""
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()
