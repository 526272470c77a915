"""All expected errors of the service, as a tree.

    AppError
    ├── CallerError                     the cause is on the caller's side
    │   ├── UnauthenticatedError        401
    │   ├── ForbiddenError              403
    │   ├── NotFoundError               404
    │   │   └── ModelNotFoundError      no model has this name
    │   ├── ConflictError               409
    │   │   └── EmbeddingModelError     the index belongs to another embedding model
    │   ├── PayloadTooLargeError        413
    │   │   └── StorageExhaustedError   the account's storage is full
    │   ├── UnsupportedMediaTypeError   415
    │   ├── UnprocessableError          422
    │   │   ├── GuardrailRefusedError   a check refuses the input or output of a model
    │   │   ├── RefusedByModelError     400: the model's provider rejects it
    │   │   ├── SchemaRefusedError      not a JSON Schema that can be used
    │   │   └── UnsupportedParameterError   400: a parameter or its value is not supported here or by this model
    │   ├── TooManyRequestsError        429
    │   │   └── BudgetExhaustedError    the month's budget does not cover it
    │   └── ClientGoneError             499, only in logs
    ├── UpstreamError                   a dependency of the service has failed
    │   ├── UpstreamFailedError         502
    │   │   ├── BrokenOffError          the connection broke in the middle of the response
    │   │   ├── ExtractionFailedError   no answer of the model matches the caller's schema
    │   │   ├── RequestRefusedError     it rejects the request
    │   │   └── ServiceRefusedError     it rejects this service: wrong key or model name
    │   ├── UnavailableError            503
    │   │   ├── OutOfMemoryError        a model has too little memory for this input
    │   │   ├── OverloadedError         the work cannot be done in time
    │   │   ├── ProviderBusyError       a provider limits this service
    │   │   └── ProviderLimitError      this service limits its calls to a provider
    │   └── UpstreamTimeoutError        504
    ├── JobError                        how a job's handler ends an attempt
    │   ├── RetryJobError               try again later
    │   ├── PauseJobError               a part is done: resume later
    │   └── DropJobError                a retry cannot help
    └── StartupError                    the process cannot start

`detail` is for the caller; details for operators go to the log.
"""

from collections.abc import Sequence
from typing import ClassVar
from uuid import UUID


class AppError(Exception):
    """An expected failure.

    Attributes:
        retryable: whether the same request may succeed later without any change.
        status: the HTTP status of the response.
        code: a stable identifier for programs.
        detail: one sentence for the caller.
        param: the invalid field of the payload, if there is one.
        faults: the individual mistakes, each prefixed with its location; shown to the caller only.
        retry_after: seconds after which a retry may succeed, if known.
        review_id: the item in the review queue, if a person decides on the request.
    """

    retryable: ClassVar[bool] = False
    status: ClassVar[int] = 500
    code: ClassVar[str] = "app_error"
    param: str | None = None
    review_id: UUID | None = None

    def __init__(self, detail: str, *, retry_after: int | None = None, faults: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.retry_after = retry_after
        self.faults = faults

    @property
    def headers(self) -> dict[str, str]:
        """Headers for the response."""
        return {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}


class CallerError(AppError):
    """The cause is on the caller's side: the request, its credentials, a quota, or a closed connection."""

    status = 400
    code = "bad_request"


class UnauthenticatedError(CallerError):
    """The request has no valid credentials."""

    status = 401
    code = "unauthenticated"

    @property
    def headers(self) -> dict[str, str]:
        """The challenge that RFC 6750 requires."""
        return {"WWW-Authenticate": "Bearer"}


class ForbiddenError(CallerError):
    """The credentials are valid but do not allow this."""

    status = 403
    code = "forbidden"


class NotFoundError(CallerError):
    """There is no such object, or it belongs to somebody else."""

    status = 404
    code = "not_found"


class ModelNotFoundError(NotFoundError):
    """No model of this service has that name."""

    code = "model_not_found"
    param = "model"


class ConflictError(CallerError):
    """The object's state does not allow this."""

    status = 409
    code = "conflict"


class EmbeddingModelError(ConflictError):
    """The caller's documents were indexed with another embedding model."""

    code = "embedding_model_mismatch"


class PayloadTooLargeError(CallerError):
    """The body is larger than the service accepts."""

    status = 413
    code = "payload_too_large"


class StorageExhaustedError(PayloadTooLargeError):
    """The caller's storage has no room for this."""

    code = "storage_exhausted"


class UnsupportedMediaTypeError(CallerError):
    """The content is of a type that the service cannot read."""

    status = 415
    code = "unsupported_media_type"


class UnprocessableError(CallerError):
    """The payload is well-formed but invalid."""

    status = 422
    code = "unprocessable"


class GuardrailRefusedError(UnprocessableError):
    """A check refuses the input or the output of a language model.

    Attributes:
        reasons: the rules that matched, if the check has several.
        for_review: whether a person should review it.
    """

    code = "guardrail_refused"

    def __init__(
        self, detail: str, *, reasons: Sequence[str] = (), for_review: bool = False, review_id: UUID | None = None
    ) -> None:
        super().__init__(detail)
        self.reasons = reasons
        self.for_review = for_review
        self.review_id = review_id


class RefusedByModelError(UnprocessableError):
    """The provider of a language model rejects the payload, which was passed on unchanged."""

    status = 400
    code = "refused_by_model"


class SchemaRefusedError(UnprocessableError):
    """The caller's JSON Schema is invalid or too large."""

    code = "schema_refused"
    param = "schema"


class UnsupportedParameterError(UnprocessableError):
    """A parameter, its value or a combination is not supported by this service or by the model."""

    status = 400
    code = "unsupported_parameter"

    def __init__(self, detail: str, *, param: str) -> None:
        super().__init__(detail)
        self.param = param


class TooManyRequestsError(CallerError):
    """The caller's own quota is used up."""

    retryable = True
    status = 429
    code = "too_many_requests"
    retry_after: int


class BudgetExhaustedError(TooManyRequestsError):
    """The rest of the caller's budget for this month does not cover the request."""

    retryable = False
    code = "budget_exhausted"

    @property
    def headers(self) -> dict[str, str]:
        """The time until the next month, and a header that keeps OpenAI's clients from retrying."""
        return super().headers | {"x-should-retry": "false"}


class ClientGoneError(CallerError):
    """The client closed the connection before the response."""

    status = 499
    code = "client_gone"


class UpstreamError(AppError):
    """A dependency of the service has failed."""

    status = 502
    code = "upstream_error"
    retryable = True


class UpstreamFailedError(UpstreamError):
    """A dependency sent an unusable response."""

    code = "upstream_failed"
    retryable = False


class BrokenOffError(UpstreamFailedError):
    """The connection broke in the middle of a response, for example because the dependency restarted."""

    code = "broken_off"
    retryable = True


class ExtractionFailedError(UpstreamFailedError):
    """The language model did not produce an answer that matches the caller's schema within the allowed attempts."""

    code = "extraction_failed"


class RequestRefusedError(UpstreamFailedError):
    """A dependency rejects the request; a retry cannot help."""

    code = "request_refused"


class ServiceRefusedError(UpstreamFailedError):
    """A dependency rejects this service's configuration: its key or a model name."""

    code = "service_refused"


class UnavailableError(UpstreamError):
    """A dependency cannot be reached, or is overloaded."""

    status = 503
    code = "unavailable"


class OutOfMemoryError(UnavailableError):
    """A model has too little memory for its input; less input, or a later retry, may succeed."""

    code = "out_of_memory"
    retry_after: int

    @property
    def headers(self) -> dict[str, str]:
        """When to retry, and a header by which other instances of this service do not treat this one as down."""
        return super().headers | {"X-Error-Code": self.code}


class OverloadedError(UnavailableError):
    """There is more work queued than can be done in time."""

    code = "overloaded"
    retry_after: int


class ProviderBusyError(UnavailableError):
    """A provider rate-limits this service."""

    code = "provider_busy"


class ProviderLimitError(UnavailableError):
    """This service holds back requests to stay within its quota at a provider."""

    code = "provider_limit"
    retry_after: int


class UpstreamTimeoutError(UpstreamError):
    """A dependency did not answer in time."""

    status = 504
    code = "upstream_timeout"


class JobError(AppError):
    """A job's handler ends its attempt deliberately."""

    code = "job_error"


class RetryJobError(JobError):
    """The attempt failed for a temporary reason; retry the job later."""

    code = "job_retry"


class PauseJobError(JobError):
    """The attempt has completed a part of the job and cannot continue now; it is not counted."""

    code = "job_pause"


class DropJobError(JobError):
    """The job can never succeed."""

    code = "job_dropped"


class StartupError(AppError):
    """The configuration or the machine does not allow the process to start."""

    code = "startup_failed"
