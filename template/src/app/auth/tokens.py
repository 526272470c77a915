"""JSON Web Tokens (JWT) for access and refresh, and the settings of authentication."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

import jwt
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from app.errors import UnauthenticatedError

# Fixed for signing and verification: a token must not choose its algorithm (RFC 8725, section 3.1).
ALGORITHM = "HS256"
CLAIMS = ["aud", "exp", "iat", "iss", "sub", "use"]
# Seconds by which the clocks of two processes may differ.
LEEWAY = 30
SECRET_LENGTH = 32
# The prefix of example secrets, which are public.
PLACEHOLDER = "change-me"
REMEDY = 'python -c "import secrets; print(secrets.token_urlsafe(48))"'


class AuthSettings(BaseModel):
    """Settings of authentication."""

    model_config = ConfigDict(extra="forbid")

    jwt_secret: SecretStr = Field(
        default=SecretStr(""),
        validate_default=True,
        description="secret for signing tokens: at least 32 random characters, the same in all processes",
    )
    issuer: str = "app"
    audience: str = "app"
    access_minutes: int = Field(default=15, ge=1, description="lifetime of an access token")
    refresh_days: int = Field(default=14, ge=1, description="lifetime of a refresh token")
    session_days: int = Field(
        default=90, ge=1, description="longest duration of a session, after which the user must sign in again"
    )
    cache_seconds: float = Field(
        default=5, ge=0, le=300, description="how long keys and accounts are cached; revocation takes effect after that"
    )
    registration_open: bool = Field(default=False, description="whether anyone may create an account over HTTP")

    @field_validator("jwt_secret")
    @classmethod
    def _check_secret(cls, secret: SecretStr) -> SecretStr:
        value = secret.get_secret_value()
        if len(value) < SECRET_LENGTH or value.startswith(PLACEHOLDER):
            raise ValueError(f"APP_AUTH__JWT_SECRET needs {SECRET_LENGTH} random characters; make them with: {REMEDY}")
        return secret


class TokenUse(StrEnum):
    """The use of a token; an access token is not accepted for a refresh, nor the reverse."""

    ACCESS = "access"
    REFRESH = "refresh"


@dataclass(frozen=True, slots=True)
class Session:
    """The account and the sign-in of a token, which a refresh keeps.

    Attributes:
        token_expires_at: when the token that was read expires; None for a new session.
    """

    account_id: UUID
    signed_in_at: datetime
    token_expires_at: datetime | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class TokenPair:
    """The tokens of a sign-in; `expires_in` is the lifetime of the access token in seconds."""

    access: str
    refresh: str
    expires_in: int


def issue_tokens(session: Session, settings: AuthSettings) -> TokenPair:
    """Sign an access token and a refresh token.

    Raises:
        UnauthenticatedError: the session has lasted `session_days`.
    """
    now = datetime.now(UTC)
    left = session.signed_in_at + timedelta(days=settings.session_days) - now
    if left <= timedelta():
        raise UnauthenticatedError("The session has lasted for as long as it may; sign in again.")
    access_life = min(timedelta(minutes=settings.access_minutes), left)
    refresh_life = min(timedelta(days=settings.refresh_days), left)
    return TokenPair(
        access=_sign(session, TokenUse.ACCESS, now, access_life, settings),
        refresh=_sign(session, TokenUse.REFRESH, now, refresh_life, settings),
        expires_in=int(access_life.total_seconds()),
    )


def read_token(token: str, use: TokenUse, settings: AuthSettings) -> Session:
    """Verify a token and return its session; clocks may differ by half a minute.

    Raises:
        UnauthenticatedError: the signature, issuer, audience or use is wrong, or the token has expired.
    """
    try:
        claims: dict[str, Any] = jwt.decode(
            token,
            settings.jwt_secret.get_secret_value(),
            algorithms=[ALGORITHM],
            issuer=settings.issuer,
            audience=settings.audience,
            leeway=LEEWAY,
            options={"require": CLAIMS},
        )
        # Tokens of earlier releases lack `auth_time`.
        signed_in_at = datetime.fromtimestamp(int(claims.get("auth_time", claims["iat"])), UTC)
        session = Session(UUID(claims["sub"]), signed_in_at, datetime.fromtimestamp(int(claims["exp"]), UTC))
    except (jwt.InvalidTokenError, ValueError, OverflowError) as error:
        raise UnauthenticatedError("The token is not valid or has expired.") from error
    if claims["use"] != use:
        raise UnauthenticatedError(f"A token for {use.value} is needed here.")
    return session


def _sign(session: Session, use: TokenUse, now: datetime, life: timedelta, settings: AuthSettings) -> str:
    claims = {
        "sub": str(session.account_id),
        "use": use.value,
        "iss": settings.issuer,
        "aud": settings.audience,
        "iat": now,
        "exp": now + life,
        # The claim of OpenID Connect Core, section 2.
        "auth_time": int(session.signed_in_at.timestamp()),
    }
    return jwt.encode(claims, settings.jwt_secret.get_secret_value(), algorithm=ALGORITHM)
