"""Structured logs: JSON lines for machines, coloured lines for a terminal."""

import logging
import sys
from typing import Literal, TextIO

import structlog
from pydantic import BaseModel, ConfigDict

from app.guardrails.personal_data import redact_values
from app.observability.spans import trace_ids

# Hexadecimal ids, which could be mistaken for personal numbers; UUIDs are recognised by their format.
IDENTIFIERS = frozenset(("trace_id", "span_id", "request_id", "job_id"))
# Set by the processors below, so they contain no personal data.
OWN = frozenset(("timestamp", "level", "logger"))
UNTOUCHED = IDENTIFIERS | OWN


class LoggingSettings(BaseModel):
    """Level and format of logs."""

    model_config = ConfigDict(extra="forbid")

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    format: Literal["json", "console"] = "json"


def configure_logging(settings: LoggingSettings, stream: TextIO | None = None) -> None:
    """Send all log lines, including those of libraries, to the stream in one format; standard output by default."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _add_trace_ids,
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
    # Uvicorn's own handlers write plain text, which is not redacted.
    for own in ("uvicorn", "uvicorn.access"):
        logging.getLogger(own).handlers.clear()
        logging.getLogger(own).propagate = True
    # These write a line per request, as the middleware does.
    for noisy in ("uvicorn.access", "httpx", "httpx2"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    # At level DEBUG, these log complete requests, prompts included.
    for indiscreet in ("anthropic", "openai"):
        logging.getLogger(indiscreet).setLevel(logging.INFO)


def _renderers(style: str) -> list[structlog.typing.Processor]:
    first = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    texts: list[structlog.typing.Processor] = [first, structlog.processors.format_exc_info, _redact]
    if style == "console":
        # A richer traceback would show the values of variables, which are not redacted.
        return [*texts, structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
    return [*texts, structlog.processors.JSONRenderer()]


def _add_trace_ids(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Add the ids of the current trace and span, if there are any."""
    return {**event, **trace_ids()}


def _redact(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Redact personal data in all values of a line, tracebacks included."""
    return {name: value if name in UNTOUCHED else redact_values(value) for name, value in event.items()}
