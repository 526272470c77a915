"""Every deliberate error of the service, in one tree.

    AppError
    ├── CallerError                     the request cannot be served as it is
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
    │   │   └── UnsupportedParameterError   400: known, but not offered here or by this model
    │   ├── TooManyRequestsError        429
    │   │   └── BudgetExhaustedError    the month's budget does not cover it
    │   └── ClientGoneError             499, seen in logs alone
    ├── UpstreamError                   something that the service needs has failed
    │   ├── UpstreamFailedError         502
    │   │   ├── BrokenOffError          the connection broke in the middle of the answer
    │   │   ├── ExtractionFailedError   no answer of the model fits the caller's schema
    │   │   ├── RequestRefusedError     it rejects the request
    │   │   └── ServiceRefusedError     it rejects this service: wrong key or model name
    │   ├── UnavailableError            503
    │   │   ├── OutOfMemoryError        a model has no memory for this input
    │   │   ├── OverloadedError         the work cannot be done in time
    │   │   ├── ProviderBusyError       a provider limits this service
    │   │   └── ProviderLimitError      this service limits its calls to a provider
    │   └── UpstreamTimeoutError        504
    ├── JobError                        how a job's handler ends an attempt
    │   ├── RetryJobError               try again later
    │   ├── PauseJobError               go on later: there is less to do than before
    │   └── DropJobError                trying again cannot help
    └── StartupError                    the process must not start like this

`detail` is written for the caller; what only the operator may know goes to the log.
"""

from collections.abc import Sequence
from typing import ClassVar
from uuid import UUID


class AppError(Exception):
    """An expected failure.

    Attributes:
        retryable: whether the same request may succeed later, although nobody has changed anything.
        status: the HTTP status of the answer.
        code: a stable identifier for programs; the class name in snake case.
        detail: one sentence for the caller.
        param: the field of the payload at fault, if there is one.
        faults: the individual mistakes, each prefixed with its location; shown to the caller only.
        retry_after: seconds after which a retry may succeed, if known.
        review_id: the item in the review queue that a person decides, if there is one.
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
        """Headers that belong to the answer."""
        return {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}


class CallerError(AppError):
    """The caller has to change the request."""

    status = 400
    code = "bad_request"


class UnauthenticatedError(CallerError):
    """No valid credentials came with the request."""

    status = 401
    code = "unauthenticated"

    @property
    def headers(self) -> dict[str, str]:
        """The challenge that RFC 6750 asks for."""
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
    """The payload is well-formed but means nothing."""

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
    """The payload uses a parameter that this service or its model does not support."""

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
        """When the next month begins, and a header that keeps OpenAI's clients from retrying at once."""
        return super().headers | {"x-should-retry": "false"}


class ClientGoneError(CallerError):
    """The client closed the connection; nobody will read the answer."""

    status = 499
    code = "client_gone"


class UpstreamError(AppError):
    """Something that the service depends on has failed."""

    status = 502
    code = "upstream_error"
    retryable = True


class UpstreamFailedError(UpstreamError):
    """A dependency sent an unusable answer."""

    code = "upstream_failed"
    retryable = False


class BrokenOffError(UpstreamFailedError):
    """The connection to a dependency broke in the middle of its answer, as it does when that restarts."""

    code = "broken_off"
    retryable = True


class ExtractionFailedError(UpstreamFailedError):
    """The language model produced nothing that fits the caller's schema within the allowed tries."""

    code = "extraction_failed"


class RequestRefusedError(UpstreamFailedError):
    """A dependency rejects the request, so a retry is of no use."""

    code = "request_refused"


class ServiceRefusedError(UpstreamFailedError):
    """A dependency rejects this service's configuration: its key or a model name."""

    code = "service_refused"


class UnavailableError(UpstreamError):
    """A dependency cannot be reached, or is overloaded."""

    status = 503
    code = "unavailable"


class OutOfMemoryError(UnavailableError):
    """A model has no memory for its input, on the device or here; less input or a later retry may pass."""

    code = "out_of_memory"
    retry_after: int

    @property
    def headers(self) -> dict[str, str]:
        """When to retry, and a header that keeps other instances of this service from avoiding this one altogether."""
        return super().headers | {"X-Error-Code": self.code}


class OverloadedError(UnavailableError):
    """There is more work than can be done in time."""

    code = "overloaded"
    retry_after: int


class ProviderBusyError(UnavailableError):
    """A provider limits this service's requests."""

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
    """The attempt failed for a reason that may pass."""

    code = "job_retry"


class PauseJobError(JobError):
    """The attempt did a part of the job for good and cannot go on for now, so that it is not counted."""

    code = "job_pause"


class DropJobError(JobError):
    """The job can never succeed."""

    code = "job_dropped"


class StartupError(AppError):
    """The configuration or the machine does not allow the process to start."""

    code = "startup_failed"
