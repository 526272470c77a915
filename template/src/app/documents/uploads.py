"""A stream of bytes to the file store, measured, hashed and limited in size."""

import hashlib
from collections.abc import AsyncIterator

from app.errors import PayloadTooLargeError


class Upload:
    """Passes chunks on and counts their bytes; read `size` and `sha256` once the stream has ended."""

    def __init__(self, chunks: AsyncIterator[bytes], max_bytes: int) -> None:
        self._chunks = chunks
        self._max_bytes = max_bytes
        self._hash = hashlib.sha256()
        self.size = 0

    @property
    def sha256(self) -> str:
        """SHA-256 of the bytes so far, in hexadecimal."""
        return self._hash.hexdigest()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the chunks.

        Raises:
            PayloadTooLargeError: the stream exceeds `max_bytes`.
        """
        async for part in self._chunks:
            self.size += len(part)
            if self.size > self._max_bytes:
                raise PayloadTooLargeError(f"A file may have at most {self._max_bytes:,} bytes.")
            self._hash.update(part)
            yield part
