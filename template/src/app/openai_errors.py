"""Error responses in the format of OpenAI's API, for the paths that its clients call."""

from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, Field

OPENAI_PATHS = ("/v1/chat/batch", "/v1/chat/completions", "/v1/embeddings", "/v1/models")
# Codes that have another name in OpenAI's API.
CODES = {"guardrail_refused": "content_filter"}
KINDS = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


class OpenAIErrorDetail(BaseModel):
    """The details of an error."""

    message: str = Field(examples=["There is no such chat model; this service has default."])
    type: str = Field(examples=["invalid_request_error"])
    param: str | None = Field(examples=["model"])
    code: str | None = Field(examples=["model_not_found"])


class OpenAIError(BaseModel):
    """The body of every error response on these paths."""

    error: OpenAIErrorDetail


# OpenAPI responses for failures on these paths.
OPENAI_FAILURE: dict[int | str, dict[str, Any]] = {"default": {"model": OpenAIError, "description": "An error"}}


def is_openai_path(path: str) -> bool:
    """Return whether this path belongs to OpenAI's API."""
    return path in OPENAI_PATHS or path.startswith(tuple(f"{each}/" for each in OPENAI_PATHS))


def openai_error(status: int, code: str, message: str, param: str | None) -> OpenAIError:
    """Create an error; a prefix `body.` of `param`, from validation errors, is removed."""
    kind = "server_error" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else KINDS.get(status, "invalid_request_error")
    where = param.removeprefix("body").removeprefix(".") if param else None
    return OpenAIError(
        error=OpenAIErrorDetail(message=message, type=kind, param=where or None, code=CODES.get(code, code))
    )


def openai_status(status: int) -> int:
    """Return the status that OpenAI's clients expect: 400 instead of 422."""
    return int(HTTPStatus.BAD_REQUEST) if status == HTTPStatus.UNPROCESSABLE_ENTITY else status
