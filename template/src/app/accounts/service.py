"""The use cases of operators on accounts, which they identify by address."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts import repository
from app.auth.models import Account, ApiKey
from app.database import Database
from app.errors import NotFoundError


@dataclass(frozen=True, slots=True)
class Overview:
    """An account, its keys, oldest first, and its storage.

    Attributes:
        documents: their number.
        size: total bytes of their files.
    """

    account: Account
    keys: Sequence[ApiKey]
    documents: int
    size: int


@dataclass(frozen=True, slots=True)
class AccountService:
    """Shows accounts, locks and unlocks them, and revokes their keys."""

    database: Database

    async def read(self, email: str) -> Overview:
        """Return the overview of an account.

        Raises:
            NotFoundError: no account has the address.
        """
        async with self.database.transaction() as session:
            account = await _find(session, email)
            keys = await repository.list_keys(session, account.id)
            documents, size = await repository.measure_documents(session, account.id)
        return Overview(account, keys, documents, size)

    async def set_active(self, email: str, *, active: bool) -> None:
        """Unlock or lock an account; locking disables its password, keys and tokens.

        Raises:
            NotFoundError: no account has the address.
        """
        async with self.database.transaction() as session:
            account = await _find(session, email)
            await repository.set_active(session, account.id, active=active)

    async def revoke_key(self, email: str, prefix: str) -> Sequence[str]:
        """Revoke the keys with this prefix, usually one, and return their names.

        Raises:
            NotFoundError: no account has the address, or it has no such key.
        """
        async with self.database.transaction() as session:
            account = await _find(session, email)
            names = await repository.revoke_keys(session, account.id, prefix)
        if not names:
            raise NotFoundError(f"{account.email} has no key {prefix}: `app account show` lists those that it has.")
        return names


async def _find(session: AsyncSession, email: str) -> Account:
    account = await repository.find(session, email.lower())
    if account is None:
        raise NotFoundError(f"No account has the address {email}.")
    return account
