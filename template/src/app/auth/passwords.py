"""Password hashing (argon2id), kept off the event loop."""

import asyncio

from pwdlib import PasswordHash

_hasher = PasswordHash.recommended()
# Verified when there is no account, so that the time taken does not tell whether an address is known.
_DECOY = _hasher.hash("no account has this password")


async def hash_password(password: str) -> str:
    """Hash a password for storage."""
    return await asyncio.to_thread(_hasher.hash, password)


async def verify_password(password: str, stored: str | None) -> bool:
    """Tell whether a password is the stored one; takes as long when nothing is stored."""
    matches = await asyncio.to_thread(_hasher.verify, password, stored or _DECOY)
    return matches and stored is not None
