"""Password hashing (argon2id), kept off the event loop and off the threads that everything else shares."""

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
# Verified when there is no account, so that the time taken does not tell whether an address is known.
_DECOY = _hasher.hash("no account has this password")


class Passwords:
    """Hashes and verifies a few passwords at a time; its threads start when they are needed."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="passwords")
        self._asked = 0

    async def hash(self, password: str) -> str:
        """Hash a password for storage.

        Raises:
            OverloadedError: too many others wait.
        """
        return await self._run(lambda: _hasher.hash(password))

    async def verify(self, password: str, stored: str | None) -> bool:
        """Tell whether a password is the stored one; takes as long when nothing is stored.

        Raises:
            OverloadedError: too many others wait.
        """
        matches = await self._run(lambda: _hasher.verify(password, stored or _DECOY))
        return matches and stored is not None

    def close(self) -> None:
        """Drop what waits, and let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _run(self, work: Callable[[], Result]) -> Result:
        if self._asked >= THREADS + MOST_WAITING:
            raise OverloadedError("Too many people sign in or register at the moment.", retry_after=1)
        self._asked += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._asked -= 1
