"""The settings of an operator's command."""

import sys

from app.observability.logging import configure_logging
from app.settings import Settings


def load_settings() -> Settings:
    """Read the settings, and log to standard error what goes wrong: what a command prints is its result."""
    settings = Settings()
    configure_logging(settings.logging.model_copy(update={"level": "WARNING", "format": "console"}), sys.stderr)
    return settings
