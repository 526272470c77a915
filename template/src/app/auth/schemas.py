"""Request and response schemas of accounts, tokens and API keys."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, EmailStr, Field

from app.auth.caller import Scope
from app.payloads import Moment, Payload


class AccountCreate(Payload):
    """A registration."""

    email: EmailStr = Field(examples=["ada@example.com"])
    password: str = Field(min_length=12, max_length=200, examples=["correct horse battery"])


class AccountRead(BaseModel):
    """An account as its owner sees it."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    email: str = Field(examples=["ada@example.com"])
    created_at: datetime


class TokenRead(BaseModel):
    """Tokens in the shape of OAuth 2 (RFC 6749, section 5.1)."""

    access_token: str
    refresh_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - the name of a scheme
    expires_in: int = Field(description="seconds", examples=[900])


class TokenRefresh(Payload):
    """A refresh token to exchange."""

    refresh_token: str


class KeyCreate(Payload):
    """An API key to create."""

    name: str = Field(min_length=1, max_length=100, examples=["nightly import"])
    scopes: set[Scope] = Field(
        min_length=1, max_length=len(Scope), fail_fast=True, examples=[["documents:write", "search"]]
    )
    expires_at: Moment | None = Field(
        default=None,
        description="when the key expires; at the latest, with the key that creates it",
    )


class KeyRead(BaseModel):
    """A key without its secret; `prefix` identifies it."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    name: str = Field(examples=["nightly import"])
    prefix: str = Field(examples=["sk-3fK9xQ"])
    scopes: list[str] = Field(examples=[["documents:write", "search"]])
    expires_at: datetime | None
    created_at: datetime


class KeyCreated(KeyRead):
    """A new key; `secret` is shown only once."""

    secret: str = Field(examples=["sk-3fK9xQ..."])
