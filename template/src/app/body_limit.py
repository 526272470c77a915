"""How large a request's body may be, and of whom: looked at before any of it is parsed.

Starlette has such a middleware; its refusal is plain text without the request's identifier, and FastAPI reads bodies
before it asks who sends them, so here is our own.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from python_multipart.multipart import parse_options_header
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.auth.bearer import read_bearer
from app.auth.service import AuthService
from app.errors import AppError, PayloadTooLargeError, UnsupportedMediaTypeError
from app.json_marks import check_marks, count_marks
from app.open_inference_errors import is_inference_path

# What may be sent without credentials: more than a sign-in takes. Bytes.
STRANGERS_BYTES = 16_000
FORM = b"multipart/form-data"
# Starlette decodes a form's fields with whatever codec the caller names, and some of Python's take quadratic time.
UTF_8 = b"utf-8"


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """How many bytes a body may have.

    Attributes:
        json: anywhere, unless something else is said.
        json_of: by path, where it is less.
        upload: a form for one of the paths that spool it to disk.
        upload_paths: those.
    """

    json: int
    json_of: Mapping[str, int]
    upload: int
    upload_paths: Collection[str]

    def find(self, path: str, *, is_form: bool) -> int:
        """Return what holds for a request."""
        if is_form and path in self.upload_paths:
            return self.upload
        return self.json_of.get(path, self.json)


class BodyLimitMiddleware:
    """Refuses bodies that are larger than is allowed, whether or not they declare their length, and too much JSON."""

    def __init__(self, app: ASGIApp, limits: BodyLimits) -> None:
        self.app = app
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http":
            receive = _Body(scope, receive, self._limits).receive
        await self.app(scope, receive, send)


class _Body:
    """The body of one request, looked at as it comes in."""

    def __init__(self, scope: Scope, receive: Receive, limits: BodyLimits) -> None:
        headers = Headers(scope=scope)
        kind, self._options = parse_options_header(headers.get("Content-Type"))
        declared = headers.get("Content-Length", "")
        path = scope["path"]
        self._scope = scope
        # Applications that are mounted in this one put themselves in its place.
        self._application = scope["app"]
        self._receive = receive
        self._is_form = kind == FORM
        self._limit = limits.find(path, is_form=self._is_form)
        self._announced = int(declared) if declared.isdecimal() else 0
        self._received = 0
        # Forms are not read as JSON; of tensors the JSON is looked at where it is known how much of a body that is.
        self._is_json = not self._is_form and not is_inference_path(path)
        self._marks = 0
        self._is_known = False

    async def receive(self) -> Message:
        """Receive the next part, unless it is too much."""
        try:
            return await self._receive_within_limits()
        except AppError as error:
            # FastAPI takes anything else that is raised here for a body that cannot be parsed.
            raise HTTPException(error.status, error.detail, error.headers) from error

    async def _receive_within_limits(self) -> Message:
        if self._is_form and self._options.get(b"charset", UTF_8).lower() != UTF_8:
            raise UnsupportedMediaTypeError("Send forms in UTF-8.")
        # What is announced as too large is refused before it is read; the rest is counted.
        await self._check(self._announced)
        message = await self._receive()
        part = message.get("body", b"")
        self._received += len(part)
        await self._check(self._received)
        if self._is_json:
            self._marks += count_marks(part)
            check_marks(self._marks)
        return message

    async def _check(self, size: int) -> None:
        if size > self._limit:
            raise PayloadTooLargeError(f"A body may have at most {self._limit:,} bytes here.")
        if size > STRANGERS_BYTES and not self._is_known:
            auth: AuthService = self._application.state.services.auth
            await auth.authenticate(read_bearer(self._scope))
            self._is_known = True
