"""Settings and logging of the operator's commands."""

import sys

from app.observability.logging import configure_logging
from app.settings import Settings


def load_settings() -> Settings:
    """Read the settings, and configure logging to standard error: standard output is for a command's result."""
    settings = Settings()
    configure_logging(settings.logging.model_copy(update={"level": "WARNING", "format": "console"}), sys.stderr)
    return settings
