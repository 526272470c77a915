"""Errors on the wire: RFC 9457 problem+json, rendered in one place."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from app.errors import AppError, CallerError, ClientGoneError, OverloadedError, UpstreamError

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"
# What the framework refuses has the same code as what the service refuses.
CODES = {error.status: error.code for error in CallerError.__subclasses__()}
# Statuses that no standard names.
TITLES = {ClientGoneError.status: "Client Gone"}


class FieldProblem(BaseModel):
    """One thing that is wrong with the payload."""

    location: str = Field(examples=["body.question"])
    message: str = Field(examples=["Field required"])


class Problem(BaseModel):
    """The body of every answer that is not a success (RFC 9457)."""

    type: str = "about:blank"
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["There is no such document."])
    message: str = Field(
        description="the detail with the first error, where OpenAI's clients look for what they raise",
        examples=["There is no such document."],
    )
    code: str = Field(examples=["not_found"])
    request_id: str | None = Field(examples=["5f0c2f2a9d8b4a1e9a7a0a9f6c1d2e3f"])
    errors: list[FieldProblem] | None = None


def problem(status: int, code: str, detail: str, errors: list[FieldProblem] | None = None) -> Problem:
    """Describe a failure, with the identifier of the request at hand."""
    request_id = structlog.contextvars.get_contextvars().get("request_id")
    title = TITLES.get(status) or HTTPStatus(status).phrase
    message = f"{detail} {errors[0].location}: {errors[0].message}" if errors else detail
    return Problem(
        title=title, status=status, detail=detail, message=message, code=code, request_id=request_id, errors=errors
    )


def problem_of(error: Exception) -> Problem:
    """Describe any exception; what was not foreseen becomes a bare 500."""
    if isinstance(error, AppError):
        return problem(error.status, error.code, error.detail)
    return problem(500, "internal_error", "Something went wrong here. Quote the request id when you report it.")


def problem_response(body: Problem, headers: dict[str, str] | None = None) -> JSONResponse:
    """Wrap a problem into a response."""
    content = body.model_dump(exclude_none=True)
    return JSONResponse(content, body.status, headers=headers, media_type=MEDIA_TYPE)


def install_problem_handlers(app: FastAPI) -> None:
    """Make the application answer every failure with a problem."""
    app.add_exception_handler(AppError, _on_app_error)
    app.add_exception_handler(RequestValidationError, _on_invalid_payload)
    app.add_exception_handler(HTTPException, _on_http_error)


async def _on_app_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, AppError)  # noqa: S101 - registered for this class alone
    # Nothing has failed when there is too much to do, and then least of all is there time for a line about each.
    if isinstance(error, UpstreamError) and not isinstance(error, OverloadedError):
        log.warning("upstream.failed", code=error.code, detail=error.detail, cause=repr(error.__cause__))
    return problem_response(problem_of(error), error.headers)


async def _on_invalid_payload(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this class alone
    errors = _field_problems(error.errors())
    return problem_response(problem(422, "invalid_payload", "The payload is not valid.", errors))


async def _on_http_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class alone
    code = CODES.get(error.status_code, HTTPStatus(error.status_code).name.lower())
    return problem_response(problem(error.status_code, code, str(error.detail)), dict(error.headers or {}))


def _field_problems(errors: Sequence[Any]) -> list[FieldProblem]:
    return [FieldProblem(location=".".join(map(str, e["loc"])), message=str(e["msg"])) for e in errors]
