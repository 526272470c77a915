"""A model's outcome for one input, to be recorded."""

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Outcome:
    """One prediction to be recorded.

    Attributes:
        endpoint: the feature that used the model, such as `classifications`.
        input_sha256: SHA-256 of the input in hexadecimal digits.
        outputs: any JSON-serializable value; NaN and infinities become null.
    """

    endpoint: str
    model: str
    version: str
    input_sha256: str
    outputs: object


def sha256_of(content: bytes | str) -> str:
    """Return the SHA-256 of bytes, or of a text in UTF-8, in hexadecimal digits."""
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()
