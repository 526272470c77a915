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
    │   │   └── StorageExhaustedError   the caller's documents take what an account may store
    │   ├── UnsupportedMediaTypeError   415
    │   ├── UnprocessableError          422
    │   │   ├── GuardrailRefusedError   a check of what goes into a model, or comes out, says no
    │   │   ├── RefusedByModelError     400: the model's provider finds fault with it
    │   │   ├── SchemaRefusedError      not a JSON Schema that can be used
    │   │   └── UnsupportedParameterError   400: known, but not offered here or by this model
    │   ├── TooManyRequestsError        429
    │   │   └── BudgetExhaustedError    the month's budget does not cover it
    │   └── ClientGoneError             499, seen in logs alone
    ├── UpstreamError                   something that the service needs has failed
    │   ├── UpstreamFailedError         502
    │   │   ├── ExtractionFailedError   no answer of the model fits the caller's schema
    │   │   ├── RequestRefusedError     it finds fault with what it was asked
    │   │   └── ServiceRefusedError     it does not serve this service: the key, or the name of a model
    │   ├── UnavailableError            503
    │   │   ├── OutOfMemoryError        a model has no memory for what it was given
    │   │   ├── OverloadedError         the work cannot be done in time
    │   │   ├── ProviderBusyError       a provider's limit on this service is reached
    │   │   └── ProviderLimitError      this service's own limit on what it asks a provider is reached
    │   └── UpstreamTimeoutError        504
    ├── JobError                        how a job's handler ends an attempt
    │   ├── RetryJobError               try again later
    │   └── DropJobError                trying again cannot help
    └── StartupError                    the process must not start like this

`detail` is written for the caller; what only the operator may know goes to the log.
"""

from collections.abc import Sequence
from typing import ClassVar
from uuid import UUID


class AppError(Exception):
    """A failure that the service foresees.

    Attributes:
        status: the HTTP status that it is answered with.
        code: a stable word for programs; the class name in snake case.
        detail: one sentence for the caller.
        param: the field of the payload that is to blame, where there is one.
        faults: what is wrong in particular, each with its place first; for the caller alone.
        retry_after: the seconds after which another try may succeed, where they are known.
        review_id: the item of the review queue that a person is to decide, where there is one.
    """

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
    """The caller can mend this by sending something else."""

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
    """What the caller has stored leaves no room for this."""

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
    """A check of what goes into a language model, or of what comes out of it, says no.

    Attributes:
        reasons: the rules that applied, where the check has several.
        for_review: whether a person shall look at it.
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
    """The payload went to the language model as it came, and its provider finds fault with it."""

    status = 400
    code = "refused_by_model"


class SchemaRefusedError(UnprocessableError):
    """The caller's JSON Schema is wrong, or more than the service takes."""

    code = "schema_refused"
    param = "schema"


class UnsupportedParameterError(UnprocessableError):
    """The payload asks for something that this service, or the model behind it, does not do."""

    status = 400
    code = "unsupported_parameter"

    def __init__(self, detail: str, *, param: str) -> None:
        super().__init__(detail)
        self.param = param


class TooManyRequestsError(CallerError):
    """The caller's own quota is used up."""

    status = 429
    code = "too_many_requests"
    retry_after: int


class BudgetExhaustedError(TooManyRequestsError):
    """The rest of the caller's budget for this month does not cover the request."""

    code = "budget_exhausted"

    @property
    def headers(self) -> dict[str, str]:
        """When the next month begins; and a word to OpenAI's clients, which would try again at once."""
        return super().headers | {"x-should-retry": "false"}


class ClientGoneError(CallerError):
    """The client has closed the connection; nobody will see the answer."""

    status = 499
    code = "client_gone"


class UpstreamError(AppError):
    """Something that the service depends on has failed.

    Attributes:
        retryable: whether the same request may succeed later.
    """

    status = 502
    code = "upstream_error"
    retryable: ClassVar[bool] = True


class UpstreamFailedError(UpstreamError):
    """A dependency answered with something that cannot be used."""

    code = "upstream_failed"
    retryable = False


class ExtractionFailedError(UpstreamFailedError):
    """The language model was asked as often as allowed, and wrote nothing that fits the caller's schema."""

    code = "extraction_failed"


class RequestRefusedError(UpstreamFailedError):
    """A dependency finds fault with what it was asked, so asking again is of no use."""

    code = "request_refused"


class ServiceRefusedError(UpstreamFailedError):
    """A dependency does not serve this service as it is set up: its key, or the name of a model."""

    code = "service_refused"


class UnavailableError(UpstreamError):
    """A dependency cannot be reached, or is overloaded."""

    status = 503
    code = "unavailable"


class OutOfMemoryError(UnavailableError):
    """A model has no memory left, on its device or here, for what it was given; less may pass, or the same later."""

    code = "out_of_memory"
    retry_after: int

    @property
    def headers(self) -> dict[str, str]:
        """When to come back; and a word to instances of this service that ask here, which would all stay away."""
        return super().headers | {"X-Error-Code": self.code}


class OverloadedError(UnavailableError):
    """There is more work than can be done in time."""

    code = "overloaded"
    retry_after: int


class ProviderBusyError(UnavailableError):
    """A provider's limit on what this service may ask is reached."""

    code = "provider_busy"


class ProviderLimitError(UnavailableError):
    """This service asks no more of a provider for now, to stay within what its account there allows."""

    code = "provider_limit"
    retry_after: int


class UpstreamTimeoutError(UpstreamError):
    """A dependency did not answer in time."""

    status = 504
    code = "upstream_timeout"


class JobError(AppError):
    """A job's handler ends its attempt on purpose."""

    code = "job_error"


class RetryJobError(JobError):
    """The attempt failed in a way that may pass."""

    code = "job_retry"


class DropJobError(JobError):
    """The job can never succeed."""

    code = "job_dropped"


class StartupError(AppError):
    """The configuration or the machine does not allow the process to start."""

    code = "startup_failed"
