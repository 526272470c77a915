"""Password hashing (argon2id) in a separate thread pool."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from pwdlib import PasswordHash

from app.errors import OverloadedError

Result = TypeVar("Result")

# Each hash takes 64 MiB and four cores for some 50 ms.
THREADS = 2
MOST_WAITING = 16

_hasher = PasswordHash.recommended()
# Verified if there is no account, so that the response time does not reveal whether an address is registered.
_DECOY = _hasher.hash("no account has this password")


class Passwords:
    """Hashes and verifies a few passwords at a time; its threads start on demand."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="passwords")
        self._asked = 0

    async def hash(self, password: str) -> str:
        """Hash a password for storage.

        Raises:
            OverloadedError: too many calls are waiting.
        """
        return await self._run(lambda: _hasher.hash(password))

    async def verify(self, password: str, stored: str | None) -> bool:
        """Return whether a password matches the stored hash; takes as long if `stored` is None.

        Raises:
            OverloadedError: too many calls are waiting.
        """
        matches = await self._run(lambda: _hasher.verify(password, stored or _DECOY))
        return matches and stored is not None

    def close(self) -> None:
        """Cancel waiting calls, and stop the threads once they are idle."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _run(self, work: Callable[[], Result]) -> Result:
        if self._asked >= THREADS + MOST_WAITING:
            raise OverloadedError("Too many people sign in or register at the moment.", retry_after=1)
        self._asked += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._asked -= 1
