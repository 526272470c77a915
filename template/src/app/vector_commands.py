"""The operator's commands for vectors: `app vectors --help` lists them."""

import asyncio
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, TYPE_CHECKING, Annotated

import typer

from app.errors import ConflictError, UnprocessableError

if TYPE_CHECKING:
    from app.documents.vector_transfer import ImportResult

vectors = typer.Typer(help="Move the vectors from one vector store to another.", no_args_is_help=True)

PROGRESS_EVERY = 10_000
STANDARD = "-"

Target = Annotated[Path, typer.Argument(help="The file to write; - is standard output.")]
Source = Annotated[Path, typer.Argument(help="The file to read; - is standard input.")]
Force = Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")]


@vectors.command("export")
def export_(file: Target, *, force: Force = False) -> None:
    """Export the vectors of the configured embedding model to a file.

    Run it with the code of the vector store that holds them, while no document is being indexed.
    """
    if str(file) == STANDARD:
        asyncio.run(_export(sys.stdout.buffer, "standard output"))
        return
    with _written_whole(file, force=force) as output:
        asyncio.run(_export(output, str(file)))


@vectors.command("import")
def import_(file: Source) -> None:
    """Import an exported file into the configured vector store; repeating it is harmless.

    Vectors of documents that were deleted or changed since the export are skipped.
    """
    with _opened(file) as lines:
        done = asyncio.run(_import(lines))
    typer.echo(f"{_counted(done.stored, 'vector')} imported.")
    if done.skipped:
        _warn(f"{_counted(done.skipped, 'vector')} left out: deleted, or indexed anew, since the export.")
    if done.missing:
        _warn(f"{_counted(done.missing, 'passage')} without a vector in the file: `app reindex --all` makes them anew.")


async def _export(output: IO[bytes], name: str) -> None:
    from app.adapters.vector_store import open_vector_archive
    from app.command_settings import load_settings
    from app.database import open_database
    from app.documents.vector_transfer import count_indexed, export_vectors
    from app.inference.manifest import load_embedding_model

    settings = load_settings()
    model = load_embedding_model(settings.embedding.folder)
    written = -2  # not counting the first and the last line
    async with open_vector_archive(settings.vector_store) as archive, open_database(settings.database) as database:
        async for line in export_vectors(archive, model):
            output.write(line)
            written += 1
            _report(written)
        missing = await count_indexed(database, model) - written
    output.flush()
    typer.echo(f"{_counted(written, 'vector')} of {model.identity} exported to {name}.", err=True)
    if missing > 0:
        _warn(f"{_counted(missing, 'passage')} without a vector in this store: is it the one that holds them?")


async def _import(lines: IO[bytes]) -> "ImportResult":
    from app.adapters.vector_store import open_vector_store
    from app.command_settings import load_settings
    from app.database import open_database
    from app.documents.vector_transfer import import_vectors
    from app.inference.manifest import load_embedding_model

    settings = load_settings()
    model = load_embedding_model(settings.embedding.folder)
    async with open_vector_store(settings.vector_store) as store, open_database(settings.database) as database:
        return await import_vectors(lines, store, model, database=database, report=_report)


def _opened(file: Path) -> IO[bytes]:
    if str(file) == STANDARD:
        return sys.stdin.buffer
    try:
        return file.open("rb")
    except OSError as error:
        raise UnprocessableError(f"{file} cannot be read: {error.strerror}.") from error


@contextmanager
def _written_whole(file: Path, *, force: bool) -> Iterator[IO[bytes]]:
    """Open a file that gets its name only if the block succeeds, and is deleted otherwise."""
    target = file.resolve()
    if target.exists() and not (force and target.is_file()):
        remedy = "--force replaces it" if target.is_file() else "choose another name, or - for standard output"
        raise ConflictError(f"{file} exists already: {remedy}.")
    try:
        # In the target's folder, because a rename is atomic only within one file system.
        with NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}.", delete=False) as unfinished:
            try:
                yield unfinished
                unfinished.flush()
                os.fsync(unfinished.fileno())
                Path(unfinished.name).replace(target)
            except BaseException:
                Path(unfinished.name).unlink()
                raise
    except OSError as error:
        raise UnprocessableError(f"{file} cannot be written: {error.strerror}.") from error


def _report(count: int) -> None:
    if count and count % PROGRESS_EVERY == 0:
        typer.echo(f"{count} vectors …", err=True)


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _warn(text: str) -> None:
    typer.secho(text, err=True, fg=typer.colors.YELLOW)
