"""Upgrades of the database schema."""

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from app.database import translated_errors
from app.errors import StartupError

MERGE = 'uv run alembic merge heads -m "merge the template\'s migrations"'


def upgrade(config: Config) -> None:
    """Apply all pending migrations.

    Raises:
        StartupError: the migrations have several heads.
        UnavailableError: the database cannot be reached.
    """
    heads = sorted(ScriptDirectory.from_config(config).get_heads())
    if len(heads) > 1:
        raise StartupError(f"The migrations have several heads, {' and '.join(heads)}: run `{MERGE}` and try again.")
    with translated_errors():
        command.upgrade(config, "head")
