"""The operator's commands for accounts: `app account --help` lists them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

if TYPE_CHECKING:
    from app.accounts.service import AccountService, Overview
    from app.auth.models import ApiKey

account = typer.Typer(help="Look after accounts.", no_args_is_help=True)

REST = "its conversations, extractions, jobs, predictions, reviews, usage records, budget and webhooks"

Email = Annotated[str, typer.Argument(help="Address of the account.")]
Prefix = Annotated[str, typer.Argument(help="How the key begins, as `app account show` tells.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@account.command()
def show(email: Email) -> None:
    """Show an account, its keys and what it stores; secrets are never stored."""
    typer.echo(_format_overview(asyncio.run(_read(email))))


@account.command()
def lock(email: Email) -> None:
    """Lock an account: its credentials stop working, its data stays."""
    asyncio.run(_set_active(email, active=False))
    typer.echo(f"{email} is locked.")


@account.command()
def unlock(email: Email) -> None:
    """Unlock an account: its credentials work again."""
    asyncio.run(_set_active(email, active=True))
    typer.echo(f"{email} is not locked any more.")


@account.command()
def revoke_key(email: Email, prefix: Prefix) -> None:
    """Revoke an API key."""
    for name in asyncio.run(_revoke_key(email, prefix)):
        typer.echo(f"{prefix} ({name}) is revoked.")


@account.command()
def delete(email: Email, *, yes: Yes = False) -> None:
    """Delete an account and all its data for good; run it again if it could not finish."""
    overview = asyncio.run(_read(email))
    address = overview.account.email
    typer.echo(f"{_format_overview(overview)}\nAll of this goes, with {REST}.", err=True)
    if not yes and typer.prompt("Type the address to delete it", err=True).strip().lower() != address:
        typer.secho("Nothing was deleted.", err=True, fg=typer.colors.RED)
        raise typer.Exit(1)
    asyncio.run(_delete(overview.account.id))
    typer.echo(f"{address} is deleted.")


@asynccontextmanager
async def _accounts() -> "AsyncIterator[AccountService]":
    from app.accounts.service import AccountService
    from app.command_settings import load_settings
    from app.database import open_database

    async with open_database(load_settings().database) as database:
        yield AccountService(database)


async def _read(email: str) -> "Overview":
    async with _accounts() as accounts:
        return await accounts.read(email)


async def _set_active(email: str, *, active: bool) -> None:
    async with _accounts() as accounts:
        await accounts.set_active(email, active=active)


async def _revoke_key(email: str, prefix: str) -> list[str]:
    async with _accounts() as accounts:
        return list(await accounts.revoke_key(email, prefix))


async def _delete(account_id: UUID) -> None:
    from app.accounts.deletion import AccountDeletion
    from app.adapters.answer_cache import ValkeyAnswerCache
    from app.adapters.file_store import open_file_store
    from app.adapters.valkey import open_valkey
    from app.adapters.vector_store import open_vector_store
    from app.command_settings import load_settings
    from app.database import open_database

    settings = load_settings()
    # One statement may delete the rows of years, so it has no timeout.
    patient = settings.database.model_copy(update={"statement_timeout": 0})
    async with (
        open_database(patient) as database,
        open_file_store(settings.file_store) as files,
        open_vector_store(settings.vector_store) as vectors,
        open_valkey(settings.valkey) as valkey,
    ):
        forget = None
        if valkey is not None:  # answers may have been cached before caching was disabled
            forget = ValkeyAnswerCache(valkey, settings.valkey.prefix, settings.answer_cache.max_bytes).forget
        deletion = AccountDeletion(database, files, vectors, forget, settings.auth.cache_seconds)
        await deletion.delete(account_id, lambda line: typer.echo(line, err=True))


def _format_overview(overview: "Overview") -> str:
    owner = overview.account
    lines = [
        owner.email,
        f"  id         {owner.id}",
        f"  created    {_moment(owner.created_at)}",
        f"  active     {'yes' if owner.is_active else 'no: it is locked'}",
        f"  password   {'yes' if owner.password_hash else 'no: an operator made it'}",
        f"  documents  {overview.documents}, {overview.size:,} bytes",
        f"  keys       {len(overview.keys)}",
        *(f"    {_key(key)}" for key in overview.keys),
    ]
    return "\n".join(lines)


def _key(key: "ApiKey") -> str:
    end = "never expires"
    if key.expires_at is not None:
        end = f"{'expired' if key.expires_at <= datetime.now(UTC) else 'expires'} {_moment(key.expires_at)}"
    return f"{key.prefix}  {key.name}  {end}  {' '.join(key.scopes)}"


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
