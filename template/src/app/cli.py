"""The operator's entry point: `app --help` lists the commands."""

import asyncio
import os
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from pydantic import ValidationError
from pydantic_settings import SettingsError

from app.account_commands import account
from app.budget_commands import budget
from app.errors import AppError, UnavailableError
from app.job_commands import jobs
from app.model_commands import models
from app.vector_commands import vectors

if TYPE_CHECKING:
    from app.bootstrap import Services

app = typer.Typer(help="Operate this service.", no_args_is_help=True, add_completion=False)
app.add_typer(account, name="account")
app.add_typer(budget, name="budget")
app.add_typer(jobs, name="jobs")
app.add_typer(models, name="models")
app.add_typer(vectors, name="vectors")

INTERRUPTED = 130  # the exit status of shells for Ctrl-C

Role = Literal["account", "reviewer", "operator"]
ROLES_HELP = "What it may do: what accounts may; decide reviews and nothing else; everything, prompts included."
Email = Annotated[str, typer.Option(help="Address of the account; it is created if it is missing.")]
Existing = Annotated[
    bool, typer.Option("--existing", help="Also use an account with a password, which anybody may have registered.")
]


@app.command()
def migrate() -> None:
    """Upgrade the database schema and prepare the vector store."""
    from alembic.config import Config

    from app.schema_upgrade import upgrade

    upgrade(Config("alembic.ini"))
    _run(_prepare())


@app.command()
def create_key(
    email: Email,
    name: Annotated[str, typer.Option(help="What the key is for.")] = "operator",
    role: Annotated[Role, typer.Option(help=ROLES_HELP)] = "account",
    *,
    existing: Existing = False,
) -> None:
    """Create an API key and print it."""
    typer.echo(_run(_create_key(email, name, role, existing=existing)))


@app.command()
def ingest(
    folder: Annotated[Path, typer.Argument(exists=True, help="A file, or a folder that is read with all below it.")],
    email: Email,
    *,
    existing: Existing = False,
) -> None:
    """Upload files as an account's documents, except those uploaded before; the workers index them."""
    _run(_ingest(folder, email, existing=existing))


@app.command()
def reindex(
    *,
    everything: Annotated[
        bool, typer.Option("--all", help="Every document, failed ones too: after the vector store was lost.")
    ] = False,
) -> None:
    """Reindex documents that were indexed with another embedding model than the configured one."""
    typer.echo(f"{_run(_reindex(everything=everything))} documents will be reindexed.")


def main() -> None:
    """Run a command; print an expected error as one line, without a traceback."""
    try:
        app()
    except (AppError, SettingsError, ValidationError) as error:
        typer.secho(_format_error(error), err=True, fg=typer.colors.RED)
        raise SystemExit(1) from None
    except asyncio.CancelledError:  # a second Ctrl-C while the first one is handled
        raise SystemExit(INTERRUPTED) from None


def _format_error(error: AppError | SettingsError | ValidationError) -> str:
    """Format an error for operators; an UnavailableError includes its cause, which callers do not see."""
    reason = str(error.__cause__ or "").partition("\n")[0] if isinstance(error, UnavailableError) else ""
    return f"{error} {reason}".strip()


def _run(work: "Coroutine[Any, Any, Any]") -> Any:  # noqa: ANN401 - the result of the work
    return asyncio.run(work)


@asynccontextmanager
async def _services() -> "AsyncIterator[Services]":
    from app.bootstrap import build_services, open_ports
    from app.command_settings import load_settings

    settings = load_settings()
    async with open_ports(settings) as ports:
        yield build_services(settings, ports)


async def _prepare() -> None:
    from app.adapters.vector_store import open_vector_store
    from app.command_settings import load_settings
    from app.inference.manifest import load_embedding_model

    settings = load_settings()
    async with open_vector_store(settings.vector_store) as vectors:
        await vectors.prepare(load_embedding_model(settings.embedding.folder))


async def _create_key(email: str, name: str, role: Role, *, existing: bool) -> str:
    from app.auth.caller import ACCOUNT_SCOPES, REVIEWER_SCOPES, Scope
    from app.auth.service import AuthService
    from app.command_settings import load_settings
    from app.database import open_database

    settings = load_settings()
    async with open_database(settings.database) as database:
        auth = AuthService(database, settings.auth)
        holder = await auth.ensure_account(email, existing=existing)
        scopes = {"account": ACCOUNT_SCOPES, "reviewer": REVIEWER_SCOPES, "operator": frozenset(Scope)}
        return (await auth.give_key(name, scopes[role], account_id=holder.id)).secret


async def _ingest(folder: Path, email: str, *, existing: bool) -> None:
    from app.documents.service import NewFile

    new = known = 0
    async with _services() as services:
        documents, caller = services.documents, await services.auth.ensure_account(email, existing=existing)
        for path in sorted(_files(folder)):
            name = path.name if path == folder else path.relative_to(folder).as_posix()
            content = path.read_bytes()
            key = _key(name, content)
            if await documents.find_uploaded(key, caller=caller):
                known += 1
                continue
            file = NewFile(name, content, _once(content))
            try:
                document, _ = await documents.upload(file, idempotency_key=key, caller=caller)
            except AppError as error:
                typer.secho(f"{path}: {error.detail}", err=True, fg=typer.colors.YELLOW)
            else:
                new += 1
                typer.echo(f"{document.id}  {path}")
    typer.echo(f"{new} new, {known} already there.")


def _key(name: str, content: bytes) -> str:
    """Return the idempotency key of a file, which depends on its name and its content."""
    return "ingest:" + sha256(os.fsencode(name) + b"\0" + sha256(content).digest()).hexdigest()


async def _reindex(*, everything: bool) -> int:
    async with _services() as services:
        current = services.embeddings.embedder.model.identity
        return await services.documents.reindex_all(except_model=None if everything else current)


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content


def _files(folder: Path) -> Iterator[Path]:
    if folder.is_file():
        yield folder
    for path in folder.rglob("*"):
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts):
            yield path


if __name__ == "__main__":
    main()
