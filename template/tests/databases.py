"""Databases for tests: copies of a migrated one, emptied and reused, because creating one is slow."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import uuid4

import asyncpg
from sqlalchemy.engine import URL

from app import tables  # noqa: F401 - registers every table
from app.database import Table

# Ends all other connections and waits for each to close, with a timeout in milliseconds.
HANG_UP = """
    SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""
SHAPE = """
    SELECT c.relkind::text AS kind, c.relname AS relation, a.attname AS name, a.atttypid::regtype::text AS type
    FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.relnamespace = 'public'::regnamespace
    UNION ALL SELECT 'sequence', sequencename, last_value::text, NULL FROM pg_sequences WHERE schemaname = 'public'
    UNION ALL SELECT 'migration', version_num, NULL, NULL FROM public.alembic_version
"""
# Rows that migrations have inserted, which emptying would delete.
IS_SEEDED = """
    SELECT EXISTS (SELECT FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
    AND relname <> 'alembic_version' AND pg_relation_size(oid) > 0)
"""

Part = tuple[str, str, str | None, str | None]
"""Kind and name of a relation, name and type of its column; a sequence's last value; or an applied migration."""


def rendered(url: URL) -> str:
    """Return an address including its password."""
    return url.render_as_string(hide_password=False)


async def administer(url: URL, statement: str) -> None:
    """Run a statement outside a transaction."""
    connection = await asyncpg.connect(_plain(url))
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@dataclass
class Databases:
    """A pool of databases without data.

    Attributes:
        server: the server that they are created on.
        template: the migrated database that they are copied from.
        free: the databases that are ready for the next test.
    """

    server: URL
    template: str
    free: list[str] = field(default_factory=list)
    _shape: frozenset[Part] = frozenset()
    _seeded: bool = False

    async def take(self) -> str:
        """Return the name of an empty database."""
        if self.free:
            return self.free.pop()
        name = f"test_{uuid4().hex[:12]}"
        await administer(self.server, f'CREATE DATABASE "{name}" TEMPLATE "{self.template}" STRATEGY FILE_COPY')
        return name

    async def give_back(self, name: str) -> None:
        """Empty a database for reuse, or drop it if emptying does not restore its original state."""
        if not self._shape:
            await self._look_at_the_template()
        if not self._seeded and await self._empty(name):
            self.free.append(name)
        else:
            await self.drop([name])

    async def drop(self, names: Iterable[str]) -> None:
        """Drop databases, disconnecting all clients."""
        for name in names:
            await administer(self.server, f'DROP DATABASE "{name}" WITH (FORCE)')

    async def _empty(self, name: str) -> bool:
        """Remove rows and additional tables and indexes; return False if the test has changed anything else."""
        known = {(kind, relation) for kind, relation, _, _ in self._shape}
        connection = await asyncpg.connect(_plain(self.server.set(database=name)))
        try:
            await connection.execute(HANG_UP)
            extra = {(kind, relation) for kind, relation, _, _ in await _read_shape(connection)} - known
            for kind, word in (("r", "TABLE"), ("i", "INDEX")):
                for _, relation in sorted(each for each in extra if each[0] == kind):
                    await connection.execute(f'DROP {word} IF EXISTS "{relation}" CASCADE')
            if await _read_shape(connection) != self._shape:
                return False
            emptied = [table for table in reversed(Table.metadata.sorted_tables) if ("r", table.name) in known]
            await connection.execute(";".join(str(table.delete()) for table in emptied))
        except asyncpg.PostgresError:  # for example a missing table
            return False
        finally:
            await connection.close()
        return True

    async def _look_at_the_template(self) -> None:
        connection = await asyncpg.connect(_plain(self.server.set(database=self.template)))
        try:
            self._shape = await _read_shape(connection)
            self._seeded = await connection.fetchval(IS_SEEDED)
        finally:
            await connection.close()


async def _read_shape(connection: asyncpg.Connection) -> frozenset[Part]:
    found = await connection.fetch(SHAPE)
    return frozenset((row["kind"], row["relation"], row["name"], row["type"]) for row in found)


def _plain(url: URL) -> str:
    return rendered(url.set(drivername="postgresql"))
