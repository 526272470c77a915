"""A stream of bytes on its way into the file store: measured, hashed, cut off when it grows too long."""

import hashlib
from collections.abc import AsyncIterator

from app.errors import PayloadTooLargeError


class Upload:
    """Passes chunks on and keeps count; read `size` and `sha256` once the stream has ended."""

    def __init__(self, chunks: AsyncIterator[bytes], max_bytes: int) -> None:
        self._chunks = chunks
        self._max_bytes = max_bytes
        self._hash = hashlib.sha256()
        self.size = 0

    @property
    def sha256(self) -> str:
        """Checksum of what has passed so far, in hexadecimal."""
        return self._hash.hexdigest()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Pass the chunks on.

        Raises:
            PayloadTooLargeError: more came than is allowed.
        """
        async for part in self._chunks:
            self.size += len(part)
            if self.size > self._max_bytes:
                raise PayloadTooLargeError(f"A file may have at most {self._max_bytes:,} bytes.")
            self._hash.update(part)
            yield part
