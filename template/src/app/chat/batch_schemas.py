"""Many chat completions on the wire: each with a result of its own, in the shape that it would have had alone."""

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
    """Put what is wrong with one request into its place, instead of refusing all of them."""
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
    """Requests, each with the body of a chat completion that is not streamed."""

    requests: list[BatchedRequest] = Field(
        min_length=1,
        max_length=MOST_REQUESTS,
        fail_fast=True,
        description="as for /v1/chat/completions, without `stream`",
    )

    @model_validator(mode="before")
    @classmethod
    def _check_parts(cls, batch: object) -> object:
        requests = batch.get("requests") if isinstance(batch, dict) else None
        check_parts(*requests if isinstance(requests, list) else ())
        return batch


class ChatBatchAnswer(BaseModel):
    """The answer to one request."""

    index: int = Field(description="of the request, from 0")
    status: int = Field(default=HTTPStatus.OK.value, description="what the request alone would have had")
    response: ChatCompletion


class ChatBatchFailure(BaseModel):
    """Why one request has no answer."""

    index: int = Field(description="of the request, from 0")
    status: int = Field(description="what the request alone would have had", examples=[429])
    error: OpenAIErrorDetail
    retry_after: int | None = Field(description="seconds after which another try may succeed", examples=[17])

    @classmethod
    def of(cls, index: int, error: Exception) -> Self:
        """Put a failure on the wire."""
        problem = problem_of(error)
        return cls(
            index=index,
            status=openai_status(problem.status),
            error=as_openai_error(problem).error,
            retry_after=error.retry_after if isinstance(error, AppError) else None,
        )


class ChatBatch(BaseModel):
    """A result for each request, in their order."""

    results: list[ChatBatchAnswer | ChatBatchFailure]

    @classmethod
    def of(cls, outcomes: Sequence[ChatCompletion | Exception]) -> Self:
        """Put what became of the requests on the wire."""
        return cls(
            results=[
                ChatBatchFailure.of(index, each)
                if isinstance(each, Exception)
                else ChatBatchAnswer(index=index, response=each)
                for index, each in enumerate(outcomes)
            ]
        )
