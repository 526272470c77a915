"""Structured logs: JSON lines for machines, coloured lines for a terminal."""

import logging
import sys
from typing import Literal, TextIO

import structlog
from pydantic import BaseModel, ConfigDict

from app.guardrails.personal_data import redact_values
from app.observability.spans import trace_of

# Hexadecimal digits, which by chance look like a number of a person; UUIDs are known by their form.
IDENTIFIERS = frozenset(("trace_id", "span_id", "request_id", "job_id"))
# What the processors below put into every line, in place of whatever has these names: nobody else's words.
OWN = frozenset(("timestamp", "level", "logger"))
UNTOUCHED = IDENTIFIERS | OWN


class LoggingSettings(BaseModel):
    """What is logged, and how it looks."""

    model_config = ConfigDict(extra="forbid")

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    format: Literal["json", "console"] = "json"


def configure_logging(settings: LoggingSettings, stream: TextIO | None = None) -> None:
    """Send every log line, the libraries' too, to the stream in one format; to standard output if none is given."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _name_trace,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    handler = logging.StreamHandler(stream or sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=_renderers(settings.format))
    )
    logging.basicConfig(level=settings.level, handlers=[handler], force=True)
    # The server has set these up for itself, as plain text that nobody has redacted.
    for own in ("uvicorn", "uvicorn.access"):
        logging.getLogger(own).handlers.clear()
        logging.getLogger(own).propagate = True
    # These write a line per request; the middleware has said it already.
    for noisy in ("uvicorn.access", "httpx", "httpx2"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    # These write whole requests, prompts and all, when everything is logged.
    for indiscreet in ("anthropic", "openai"):
        logging.getLogger(indiscreet).setLevel(logging.INFO)


def _renderers(style: str) -> list[structlog.typing.Processor]:
    first = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    texts: list[structlog.typing.Processor] = [first, structlog.processors.format_exc_info, _redact]
    if style == "console":
        # A prettier traceback would show the values of variables, which nobody has redacted.
        return [*texts, structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
    return [*texts, structlog.processors.JSONRenderer()]


def _name_trace(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Say in which trace the line was written, if in any."""
    return {**event, **trace_of()}


def _redact(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Take personal data out of every text of a line, tracebacks included."""
    return {name: value if name in UNTOUCHED else redact_values(value) for name, value in event.items()}
