"""The schema of the database, brought up to date by the migrations."""

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from app.database import translated_errors
from app.errors import StartupError

MERGE = 'uv run alembic merge heads -m "merge the template\'s migrations"'


def upgrade(config: Config) -> None:
    """Apply every migration that the database has not seen.

    Raises:
        StartupError: the migrations part: two follow the same one, so that there is no newest.
        UnavailableError: the database cannot be reached.
    """
    heads = sorted(ScriptDirectory.from_config(config).get_heads())
    if len(heads) > 1:
        raise StartupError(f"The migrations have several heads, {' and '.join(heads)}: run `{MERGE}` and try again.")
    with translated_errors():
        command.upgrade(config, "head")
