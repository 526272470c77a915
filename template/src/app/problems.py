"""Error responses: RFC 9457 problem+json, or the format that a path's clients expect."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any
from uuid import UUID

import structlog
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.applications import Starlette
from starlette.exceptions import HTTPException

from app.errors import AppError, CallerError, ClientGoneError, OverloadedError, UpstreamError
from app.open_inference_errors import OpenInferenceError, is_open_inference_path
from app.openai_errors import OpenAIError, is_openai_path, openai_error, openai_status

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"
# Errors of the framework have the same codes as those of the service.
CODES = {error.status: error.code for error in CallerError.__subclasses__()}
# Titles of nonstandard statuses.
TITLES = {ClientGoneError.status: "Client Gone"}
# Only the first errors of a payload are reported, and texts of callers are truncated.
MOST_MISTAKES = 20
LONGEST_TEXT = 300


class FieldProblem(BaseModel):
    """One validation error of the payload."""

    location: str = Field(examples=["body.question"])
    message: str = Field(examples=["Field required"])


class Problem(BaseModel):
    """The body of every error response (RFC 9457)."""

    type: str = "about:blank"
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["There is no such document."])
    code: str = Field(examples=["not_found"])
    request_id: str | None = Field(examples=["5f0c2f2a9d8b4a1e9a7a0a9f6c1d2e3f"])
    errors: list[FieldProblem] | None = None
    param: str | None = Field(default=None, description="the invalid field, if it is a single one", examples=["model"])
    review_id: UUID | None = Field(default=None, description="id in /v1/reviews, if a person has to decide")


def problem(
    status: int, code: str, detail: str, errors: list[FieldProblem] | None = None, param: str | None = None
) -> Problem:
    """Create a problem with the current request id."""
    request_id = structlog.contextvars.get_contextvars().get("request_id")
    return Problem(
        title=TITLES.get(status) or HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        code=code,
        request_id=request_id,
        errors=errors,
        param=param,
    )


def problem_of(error: Exception) -> Problem:
    """Convert any exception to a problem; an unexpected one becomes a 500 without details."""
    if isinstance(error, AppError):
        faults = [FieldProblem(location=location, message=message) for location, message in error.faults]
        body = problem(error.status, error.code, error.detail, faults or None, error.param)
        return body.model_copy(update={"review_id": error.review_id})
    if isinstance(error, RequestValidationError):
        return problem(422, "invalid_payload", "The payload is not valid.", _field_problems(error.errors()))
    return problem(500, "internal_error", "Something went wrong here. Quote the request id when you report it.")


def problem_response(body: Problem, path: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """Return the response for a problem, in the format of this path."""
    if is_openai_path(path):
        return JSONResponse(as_openai_error(body).model_dump(), openai_status(body.status), headers=headers)
    if is_open_inference_path(path):
        # This protocol also has 400 for an invalid payload.
        return JSONResponse(
            OpenInferenceError(error=_in_a_sentence(body)).model_dump(), openai_status(body.status), headers
        )
    content = body.model_dump(mode="json", exclude_none=True)
    return JSONResponse(content, body.status, headers=headers, media_type=MEDIA_TYPE)


def as_openai_error(body: Problem) -> OpenAIError:
    """Convert a problem to OpenAI's format."""
    first = body.errors[0] if body.errors else None
    if first is None:
        return openai_error(body.status, body.code, body.detail, body.param)
    message = f"{first.location.removeprefix('body.')}: {first.message}"
    return openai_error(body.status, body.code, message, first.location)


def _in_a_sentence(body: Problem) -> str:
    """Return the detail and the first field error as one string."""
    return f"{body.detail} {body.errors[0].location}: {body.errors[0].message}" if body.errors else body.detail


def report_failure(error: AppError) -> None:
    """Log a failure that the caller did not cause."""
    # An overload is no failure, and logging a line per request would add to it.
    if isinstance(error, UpstreamError) and not isinstance(error, OverloadedError):
        log.warning("upstream.failed", code=error.code, detail=error.detail, cause=repr(error.__cause__))


def install_problem_handlers(app: Starlette) -> None:
    """Register handlers that turn every error of the application into a problem."""
    app.add_exception_handler(AppError, _on_app_error)
    app.add_exception_handler(RequestValidationError, _on_invalid_payload)
    app.add_exception_handler(HTTPException, _on_http_error)


async def _on_app_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, AppError)  # noqa: S101 - registered for this class alone
    report_failure(error)
    return problem_response(problem_of(error), request.url.path, error.headers)


async def _on_invalid_payload(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this class alone
    return problem_response(problem_of(error), request.url.path)


async def _on_http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class alone
    if isinstance(error.__cause__, AppError):
        return await _on_app_error(request, error.__cause__)
    code = CODES.get(error.status_code, HTTPStatus(error.status_code).name.lower())
    body = problem(error.status_code, code, str(error.detail))
    return problem_response(body, request.url.path, dict(error.headers or {}))


def _field_problems(errors: Sequence[Any]) -> list[FieldProblem]:
    first = errors[:MOST_MISTAKES]
    return [FieldProblem(location=_cut(".".join(map(str, e["loc"]))), message=_cut(str(e["msg"]))) for e in first]


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}…"
