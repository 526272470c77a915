"""The SQL database: one engine for the process, one transaction per use case."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from uuid import UUID, uuid4

from pydantic import BaseModel, ConfigDict, Field, SecretStr
from sqlalchemy import DateTime, MetaData, event, exc, func, text
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from app.errors import AppError, UnavailableError, UnprocessableError

# SQLSTATEs: a character that the encoding lacks; and temporary failures that are not the statement's fault: connection,
# read-only server, password, no such database, deadlock, resources, lock, timeout or shutdown.
UNSTORABLE = "22021"
UNAVAILABLE = ("08", "25006", "28", "3D", "40", "53", "55P03", "57")
# Seconds to connect; and seconds beyond the statement timeout after which a silent server counts as gone.
CONNECT_SECONDS = 5.0
SILENCE_SECONDS = 5.0


class DatabaseSettings(BaseModel):
    """Connection and timeouts of the database."""

    model_config = ConfigDict(extra="forbid")

    url: SecretStr = Field(description="postgresql+asyncpg://user:password@host:port/name")
    pool_size: int = Field(default=10, ge=1, description="most connections of one process")
    pool_timeout: float = Field(default=10, gt=0, description="seconds to wait for a free connection")
    statement_timeout: int = Field(default=15_000, ge=0, description="statement timeout in milliseconds; 0 is no limit")


class Table(DeclarativeBase):
    """The declarative base of every table."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {datetime: DateTime(timezone=True)}  # noqa: RUF012 - SQLAlchemy reads it from the class


class Record(Table):
    """The base of tables whose rows have a UUID and a creation time, by which they are listed."""

    __abstract__ = True

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Database:
    """The database; provides transactions."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._sessions = async_sessionmaker(engine, expire_on_commit=False)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """Run a block in one transaction: committed at its end, rolled back if it raises.

        Keep it short: the block holds a connection, so await only calls that take its session.

        Raises:
            UnavailableError: the database cannot be reached, or the statement timed out.
            UnprocessableError: a text has a character that the database cannot store.
        """
        with translated_errors():
            async with self._sessions.begin() as session:
                yield session

    async def ping(self) -> None:
        """Raise an exception if the database does not answer."""
        async with self._engine.connect() as connection:
            await connection.execute(text("SELECT 1"))


@contextmanager
def translated_errors() -> Iterator[None]:
    """Translate failures of the database or the connection to AppErrors; other errors pass through.

    Raises:
        UnavailableError: the database cannot be reached, or the statement timed out.
        UnprocessableError: a text has a character that the database cannot store.
    """
    try:
        yield
    except (exc.DBAPIError, exc.TimeoutError, OSError) as error:
        translated = _translated(error)
        if translated is None:
            raise
        raise translated from error


def _translated(error: Exception) -> AppError | None:
    if isinstance(error, exc.DBAPIError):
        state = str(getattr(error.orig, "sqlstate", None) or "")
        if state == UNSTORABLE:
            return UnprocessableError("A text holds a NUL character, which cannot be stored.")
        if not error.connection_invalidated and not state.startswith(UNAVAILABLE):
            return None
    return UnavailableError("The database is not available at the moment.")


def _discard_if_silent(context: ExceptionContext) -> None:
    # Otherwise the connection is rolled back first, which would wait for the silent server again.
    if isinstance(context.original_exception, TimeoutError):
        context.is_disconnect = True


@asynccontextmanager
async def open_database(settings: DatabaseSettings) -> AsyncIterator[Database]:
    """Connect lazily; close every connection at the end."""
    limit = settings.statement_timeout
    engine = create_async_engine(
        settings.url.get_secret_value(),
        pool_size=settings.pool_size,
        max_overflow=0,
        pool_timeout=settings.pool_timeout,
        pool_pre_ping=True,
        connect_args={
            "server_settings": {"statement_timeout": str(limit)},
            "timeout": CONNECT_SECONDS,
            # The server's own limit does not help if the server is gone.
            "command_timeout": limit / 1000 + SILENCE_SECONDS if limit else None,
        },
        # Error messages are logged, and parameters contain prompts.
        hide_parameters=True,
    )
    event.listen(engine.sync_engine, "handle_error", _discard_if_silent)
    try:
        yield Database(engine)
    finally:
        await engine.dispose()
