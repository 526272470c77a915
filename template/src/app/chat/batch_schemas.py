"""Request and response schemas of chat batches: each result looks like that of a single request."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated, Self

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field, GetPydanticSchema, ValidationError, ValidatorFunctionWrapHandler, model_validator
from pydantic_core.core_schema import no_info_wrap_validator_function

from app.chat.completions import ChatCompletion
from app.chat.schemas import ChatCompletionCreate, check_parts
from app.chat.settings import MOST_REQUESTS
from app.errors import AppError
from app.openai_errors import OpenAIErrorDetail, openai_status
from app.payloads import Payload
from app.problems import as_openai_error, problem_of


def _validate_apart(value: object, validate: ValidatorFunctionWrapHandler) -> object:
    """Return an invalid request's validation error in its place, instead of rejecting the batch."""
    try:
        return validate(value)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        return RequestValidationError([{**fault, "loc": ("body", *fault["loc"])} for fault in faults])


BatchedRequest = Annotated[
    ChatCompletionCreate | RequestValidationError,
    GetPydanticSchema(
        lambda _, schema_of: no_info_wrap_validator_function(_validate_apart, schema_of(ChatCompletionCreate))
    ),
]


class ChatBatchCreate(Payload):
    """A list of chat completion requests without streaming."""

    requests: list[BatchedRequest] = Field(
        min_length=1,
        max_length=MOST_REQUESTS,
        fail_fast=True,
        description="request bodies as for /v1/chat/completions, without `stream`",
    )

    @model_validator(mode="before")
    @classmethod
    def _check_parts(cls, batch: object) -> object:
        requests = batch.get("requests") if isinstance(batch, dict) else None
        check_parts(*requests if isinstance(requests, list) else ())
        return batch


class ChatBatchAnswer(BaseModel):
    """The answer to one request."""

    index: int = Field(description="position of the request in the batch, from 0")
    status: int = Field(default=HTTPStatus.OK.value, description="HTTP status that a single request would get")
    response: ChatCompletion


class ChatBatchFailure(BaseModel):
    """The error of one failed request."""

    index: int = Field(description="position of the request in the batch, from 0")
    status: int = Field(description="HTTP status that a single request would get", examples=[429])
    error: OpenAIErrorDetail
    retry_after: int | None = Field(description="seconds after which a retry may succeed", examples=[17])

    @classmethod
    def of(cls, index: int, error: Exception) -> Self:
        """Build the result of a failed request."""
        problem = problem_of(error)
        return cls(
            index=index,
            status=openai_status(problem.status),
            error=as_openai_error(problem).error,
            retry_after=error.retry_after if isinstance(error, AppError) else None,
        )


class ChatBatch(BaseModel):
    """One result per request, in the order of the requests."""

    results: list[ChatBatchAnswer | ChatBatchFailure]

    @classmethod
    def of(cls, outcomes: Sequence[ChatCompletion | Exception]) -> Self:
        """Build the response from the answers and exceptions of the requests."""
        return cls(
            results=[
                ChatBatchFailure.of(index, each)
                if isinstance(each, Exception)
                else ChatBatchAnswer(index=index, response=each)
                for index, each in enumerate(outcomes)
            ]
        )
