"""The use cases of authentication: registration, sign-in and API keys."""

import hashlib
import secrets
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

from cachetools import TTLCache

from app.auth import repository
from app.auth.caller import OPERATOR_SCOPES, Caller, Scope
from app.auth.models import Account, ApiKey
from app.auth.passwords import Passwords
from app.auth.tokens import AuthSettings, Session, TokenPair, TokenUse, issue_tokens, read_token
from app.database import Database
from app.errors import ConflictError, ForbiddenError, NotFoundError, UnauthenticatedError
from app.pages import PageRequest

KEY_MARK = "sk-"
MOST_KNOWN = 10_000


@dataclass(frozen=True, slots=True)
class NewKey:
    """A new key; its `secret` cannot be shown again."""

    key: ApiKey
    secret: str


@dataclass(slots=True)
class AuthService:
    """Manages accounts and keys, and authenticates callers."""

    database: Database
    settings: AuthSettings
    passwords: Passwords = field(default_factory=Passwords)
    # Callers by the digest of their key, or by the account of their token: most requests come from the same few.
    _known: TTLCache[str | UUID, Caller] = field(init=False)
    # Accounts by the digest of their access token, so that its signature need not be verified again.
    _verified: TTLCache[str, UUID] = field(init=False)

    def __post_init__(self) -> None:
        self._known = TTLCache(MOST_KNOWN, self.settings.cache_seconds)
        self._verified = TTLCache(MOST_KNOWN, self.settings.cache_seconds)

    async def register(self, email: str, password: str) -> Account:
        """Create an account.

        Raises:
            ForbiddenError: registration is disabled.
            ConflictError: the address is taken.
            OverloadedError: too many concurrent registrations and sign-ins.
        """
        if not self.settings.registration_open:
            raise ForbiddenError("Registration is closed; ask the operator for an account.")
        password_hash = await self.passwords.hash(password)
        async with self.database.transaction() as session:
            account = await repository.add_account(session, email=email.lower(), password_hash=password_hash)
        if account is None:
            raise ConflictError("There is an account with this address already.")
        return account

    async def ensure_account(self, email: str, *, existing: bool = False) -> Caller:
        """Find an account, or create one without a password: for operators, who control the database anyway.

        Args:
            email: the address of the account.
            existing: whether an account with a password is accepted.

        Raises:
            ConflictError: the account is locked, or has a password without `existing`.
        """
        async with self.database.transaction() as session:
            await repository.add_account(session, email=email.lower(), password_hash=None)
            account = await repository.find_account_by_email(session, email.lower())
        if account is None:
            raise ConflictError(f"The account of {email} is locked: `app account unlock` opens it.")
        # Registration does not verify that the address belongs to the user.
        if account.password_hash is not None and not existing:
            raise ConflictError(
                f"The account of {email} has a password, and whoever registered it would see what you put there. "
                "If that is whom you mean, give --existing."
            )
        return Caller(id=account.id)

    async def find_account(self, email: str) -> Caller:
        """Find an account by its address: for operators.

        Raises:
            NotFoundError: no active account has the address.
        """
        async with self.database.transaction() as session:
            account = await repository.find_account_by_email(session, email.lower())
        if account is None:
            raise NotFoundError(f"No active account has the address {email}.")
        return Caller(id=account.id)

    async def sign_in(self, email: str, password: str) -> TokenPair:
        """Exchange a password for tokens.

        Raises:
            UnauthenticatedError: no active account has this address and password.
            OverloadedError: too many concurrent registrations and sign-ins.
        """
        async with self.database.transaction() as session:
            account = await repository.find_account_by_email(session, email.lower())
        matches = await self.passwords.verify(password, account.password_hash if account else None)
        if account is None or not matches:
            raise UnauthenticatedError("The address or the password is wrong.")
        return issue_tokens(Session(account.id, datetime.now(UTC)), self.settings)

    async def refresh(self, refresh_token: str) -> TokenPair:
        """Exchange a refresh token for new tokens of the same sign-in.

        Raises:
            UnauthenticatedError: the token is not valid, the account is not active, or the session has ended.
        """
        session = read_token(refresh_token, TokenUse.REFRESH, self.settings)
        await self._account(session.account_id)
        return issue_tokens(session, self.settings)

    async def authenticate(self, credentials: str) -> Caller:
        """Return the caller of an API key or access token; may be cached for `cache_seconds`.

        Raises:
            UnauthenticatedError: the credentials are not valid.
        """
        digest = _digest(credentials)
        if credentials.startswith(KEY_MARK):
            return self._known.get(digest) or await self._find_holder(digest)
        account_id = self._verified.get(digest) or self._verify(credentials, digest)
        return self._known.get(account_id) or await self._find_owner(account_id)

    async def me(self, *, caller: Caller) -> Account:
        """Return the caller's account."""
        return await self._account(caller.id)

    async def create_key(
        self, name: str, scopes: Collection[Scope], expires_at: datetime | None = None, *, caller: Caller
    ) -> NewKey:
        """Create an API key with at most the caller's scopes, which expires no later than the caller's own key.

        Raises:
            ForbiddenError: the caller lacks the scope `account` or one of `scopes`, one of them can only be granted by
                operators, or `expires_at` is later than the expiry of the caller's own key.
        """
        caller.require(Scope.ACCOUNT)
        if reserved := OPERATOR_SCOPES.intersection(scopes):
            names = ", ".join(sorted(reserved))
            raise ForbiddenError(f"Only `app create-key --role` makes keys with these scopes: {names}.")
        for scope in scopes:
            caller.require(scope)
        if caller.expires_at is not None:
            expires_at = expires_at or caller.expires_at
            if expires_at > caller.expires_at:
                end = caller.expires_at.isoformat()
                raise ForbiddenError(f"This key expires at {end}, so it makes none that lives longer.")
        return await self.give_key(name, scopes, expires_at, account_id=caller.id)

    async def give_key(
        self, name: str, scopes: Collection[Scope], expires_at: datetime | None = None, *, account_id: UUID
    ) -> NewKey:
        """Create an API key with any scopes: for operators."""
        secret = KEY_MARK + secrets.token_urlsafe(32)
        async with self.database.transaction() as session:
            key = await repository.add_key(
                session,
                account_id=account_id,
                name=name,
                prefix=secret[: len(KEY_MARK) + 6],
                digest=_digest(secret),
                scopes=sorted(scopes),
                expires_at=expires_at,
            )
        return NewKey(key, secret)

    async def list_keys(self, page: PageRequest, *, caller: Caller) -> tuple[list[ApiKey], str | None]:
        """List the caller's keys, newest first."""
        caller.require(Scope.ACCOUNT)
        async with self.database.transaction() as session:
            return await repository.list_keys(session, caller.id, page)

    async def delete_key(self, key_id: UUID, *, caller: Caller) -> None:
        """Revoke a key: in this process at once, in others within `cache_seconds`.

        Raises:
            NotFoundError: the caller has no such key.
        """
        caller.require(Scope.ACCOUNT)
        async with self.database.transaction() as session:
            digest = await repository.delete_key(session, caller.id, key_id)
        if digest is None:
            raise NotFoundError("There is no such key.")
        self._known.pop(digest, None)

    async def _find_holder(self, digest: str) -> Caller:
        async with self.database.transaction() as session:
            key = await repository.find_key(session, digest)
        if key is None:
            raise UnauthenticatedError("The API key is not valid or has expired.")
        # Unknown scopes, of another release, are ignored.
        known = frozenset(scope for scope in Scope if scope in key.scopes)
        caller = Caller(id=key.account_id, scopes=known, key_id=key.id, expires_at=key.expires_at)
        if self._outlives_cache(key.expires_at):
            self._known[digest] = caller
        return caller

    def _verify(self, token: str, digest: str) -> UUID:
        session = read_token(token, TokenUse.ACCESS, self.settings)
        if self._outlives_cache(session.token_expires_at):
            self._verified[digest] = session.account_id
        return session.account_id

    def _outlives_cache(self, expires_at: datetime | None) -> bool:
        return expires_at is None or expires_at > datetime.now(UTC) + timedelta(seconds=self.settings.cache_seconds)

    async def _find_owner(self, account_id: UUID) -> Caller:
        account = await self._account(account_id)
        caller = self._known[account_id] = Caller(id=account.id)
        return caller

    async def _account(self, account_id: UUID) -> Account:
        async with self.database.transaction() as session:
            account = await repository.find_account(session, account_id)
        if account is None:
            raise UnauthenticatedError("The account no longer exists.")
        return account


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
