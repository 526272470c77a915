"""HTTP routes for accounts, tokens and API keys."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, status
from fastapi.security import OAuth2PasswordRequestForm

from app.auth.models import Account
from app.auth.schemas import AccountCreate, AccountRead, KeyCreate, KeyCreated, KeyRead, TokenRead, TokenRefresh
from app.auth.tokens import TokenPair
from app.dependencies import CallerDep, PageDep, ServicesDep
from app.pages import Page

router = APIRouter(prefix="/v1/auth", tags=["auth"])


@router.post("/register", status_code=status.HTTP_201_CREATED, response_model=AccountRead)
async def register(body: AccountCreate, services: ServicesDep) -> Account:
    """Create an account."""
    return await services.auth.register(body.email, body.password)


@router.post("/token")
async def create_token(form: Annotated[OAuth2PasswordRequestForm, Depends()], services: ServicesDep) -> TokenRead:
    """Sign in with an e-mail address, as `username`, and a password."""
    return _token_read(await services.auth.sign_in(form.username, form.password))


@router.post("/refresh")
async def refresh_token(body: TokenRefresh, services: ServicesDep) -> TokenRead:
    """Exchange a refresh token for new tokens."""
    return _token_read(await services.auth.refresh(body.refresh_token))


@router.get("/me", response_model=AccountRead)
async def read_me(caller: CallerDep, services: ServicesDep) -> Account:
    """Return the account of these credentials."""
    return await services.auth.me(caller=caller)


@router.post("/keys", status_code=status.HTTP_201_CREATED)
async def create_key(body: KeyCreate, caller: CallerDep, services: ServicesDep) -> KeyCreated:
    """Create an API key; its secret is shown only once."""
    new = await services.auth.create_key(body.name, body.scopes, body.expires_at, caller=caller)
    return KeyCreated(**KeyRead.model_validate(new.key).model_dump(), secret=new.secret)


@router.get("/keys")
async def list_keys(page: PageDep, caller: CallerDep, services: ServicesDep) -> Page[KeyRead]:
    """List the caller's keys."""
    keys, next_cursor = await services.auth.list_keys(page, caller=caller)
    return Page(items=[KeyRead.model_validate(key) for key in keys], next_cursor=next_cursor)


@router.delete("/keys/{key_id}", status_code=status.HTTP_204_NO_CONTENT)
async def delete_key(key_id: UUID, caller: CallerDep, services: ServicesDep) -> None:
    """Revoke a key; it may keep working for a few seconds."""
    await services.auth.delete_key(key_id, caller=caller)


def _token_read(tokens: TokenPair) -> TokenRead:
    return TokenRead(access_token=tokens.access, refresh_token=tokens.refresh, expires_in=tokens.expires_in)
