"""Tests that no log line contains personal data, whatever its source and format."""

import io
import json
import logging
import logging.config
from collections.abc import Iterator
from typing import Literal
from uuid import UUID

import pytest
import structlog
from uvicorn.config import LOGGING_CONFIG

from app.observability.logging import LoggingSettings, configure_logging

OWNER = UUID("12345678-1234-4234-8234-123456789012")
PRIVATE = ("ada@example.com", "4111 1111 1111 1111", "901820", "0532 0130")
TEXT = "ada@example.com paid with 4111 1111 1111 1111, +49 30 901820, DE89 3704 0044 0532 0130 00"


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in ("root", "uvicorn", "uvicorn.access")]
    before = [(each, each.handlers[:], each.level, each.propagate) for each in loggers]
    yield
    structlog.reset_defaults()
    for each, handlers, level, propagate in before:
        each.handlers[:] = handlers
        each.setLevel(level)
        each.propagate = propagate


def write(style: Literal["json", "console"]) -> str:
    stream = io.StringIO()
    configure_logging(LoggingSettings(format=style), stream)
    log = structlog.get_logger("test")
    log.info("account.created", email="ada@example.com", nested=[{"phone": "+49 30 901820"}], owner_id=str(OWNER), n=3)
    logging.getLogger("library").warning("could not charge %s", TEXT)
    try:
        int(TEXT)
    except ValueError:
        log.exception("payment.failed", cause=ValueError(TEXT))
    return stream.getvalue()


def test_the_lines_of_the_server_are_as_all_others() -> None:
    logging.config.dictConfig(LOGGING_CONFIG)
    stream = io.StringIO()
    configure_logging(LoggingSettings(format="json"), stream)
    logging.getLogger("uvicorn.error").error("Exception in ASGI application of %s", "ada@example.com")
    logging.getLogger("uvicorn.access").info("GET /")
    [written] = map(json.loads, stream.getvalue().splitlines())
    assert (written["event"], written["level"]) == ("Exception in ASGI application of [email]", "error")


@pytest.mark.parametrize("style", ["json", "console"])
def test_personal_data_is_redacted_in_every_text(style: Literal["json", "console"]) -> None:
    written = write(style)
    assert not [text for text in PRIVATE if text in written]
    assert written.count("[email]") >= 4
    assert "Traceback" in written


def test_identifiers_times_and_numbers_stay() -> None:
    created, foreign, failed = map(json.loads, write("json").splitlines())
    assert (created["owner_id"], created["n"], created["event"]) == (str(OWNER), 3, "account.created")
    assert created["timestamp"].startswith("20")
    assert created["nested"] == [{"phone": "[phone]"}]
    assert foreign["event"] == "could not charge [email] paid with [card], [phone], [iban]"
    assert failed["exception"].endswith("'[email] paid with [card], [phone], [iban]'")


def test_identifiers_of_other_forms_stay_whatever_their_digits() -> None:
    stream = io.StringIO()
    configure_logging(LoggingSettings(), stream)
    identifiers = dict.fromkeys(("trace_id", "span_id", "request_id", "job_id"), "be511d66874cb4af")
    structlog.get_logger("test").info("job.done", **identifiers, account="be511d66874cb4af")
    written = json.loads(stream.getvalue())
    assert written.items() >= identifiers.items()
    assert written["account"] == "[iban]"


def test_who_names_a_value_as_the_log_names_its_own_cannot_hide_it() -> None:
    stream = io.StringIO()
    configure_logging(LoggingSettings(), stream)
    private = dict.fromkeys(("timestamp", "level", "logger"), "ada@example.com")
    structlog.get_logger("test").info("account.created", **private)
    logging.getLogger("library").warning("charged", extra=private)
    for written in map(json.loads, stream.getvalue().splitlines()):
        assert written["timestamp"].startswith("20")
        assert (written["level"], written["logger"]) in {("info", "test"), ("warning", "library")}
