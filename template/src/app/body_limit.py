"""Middleware that limits request bodies, with a lower limit for unauthenticated requests, before they are parsed.

Starlette's own middleware rejects with plain text without a request id, and FastAPI reads bodies before it
authenticates the caller.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from python_multipart.multipart import parse_options_header
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.auth.bearer import read_bearer
from app.auth.service import AuthService
from app.errors import AppError, OverloadedError, PayloadTooLargeError, UnsupportedMediaTypeError
from app.json_limits import check_marks, count_marks
from app.open_inference_errors import is_inference_path

# Most bytes without credentials, which is more than a sign-in needs.
STRANGERS_BYTES = 16_000
FORM = b"multipart/form-data"
RETRY_AFTER = 10  # seconds: about what a file takes to arrive
# Starlette decodes form fields with the codec that the caller chooses, and some of Python's take quadratic time.
UTF_8 = b"utf-8"


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """Size limits of bodies, in bytes.

    Attributes:
        json: the default.
        json_of: lower limits by path.
        upload: for forms to `upload_paths`.
        upload_paths: the paths whose forms are spooled to disk.
        spooled: all forms that arrive at the same time, together.
    """

    json: int
    json_of: Mapping[str, int]
    upload: int
    upload_paths: Collection[str]
    spooled: int

    def find(self, path: str, *, is_form: bool) -> int:
        """Return the limit for a request."""
        if is_form and path in self.upload_paths:
            return self.upload
        return self.json_of.get(path, self.json)


class BodyLimitMiddleware:
    """Rejects bodies that exceed the limit, declared or not, and JSON with too many values."""

    def __init__(self, app: ASGIApp, limits: BodyLimits) -> None:
        self.app = app
        self._limits = limits
        self._spool = _Spool(limits.spooled)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        body = _Body(scope, receive, self._limits, self._spool)
        try:
            await self.app(scope, body.receive, send)
        finally:
            body.release()


class _Spool:
    """The disk space for forms, which all requests of a process share."""

    def __init__(self, size: int) -> None:
        self._free = size

    def take(self, size: int) -> None:
        """Take space, or raise OverloadedError if so much is not free."""
        if size > self._free:
            raise OverloadedError("Too many files are being uploaded.", retry_after=RETRY_AFTER)
        self._free -= size

    def release(self, size: int) -> None:
        """Give space back."""
        self._free += size


class _Body:
    """The body of one request, checked as it is received."""

    def __init__(self, scope: Scope, receive: Receive, limits: BodyLimits, spool: _Spool) -> None:
        headers = Headers(scope=scope)
        kind, self._options = parse_options_header(headers.get("Content-Type"))
        declared = headers.get("Content-Length", "")
        path = scope["path"]
        self._scope = scope
        # Mounted applications replace `scope["app"]`.
        self._application = scope["app"]
        self._receive = receive
        self._is_form = kind == FORM
        self._limit = limits.find(path, is_form=self._is_form)
        self._announced = int(declared) if declared.isdecimal() else 0
        self._received = 0
        self._spool = spool
        self._spooled = 0
        # Forms are not JSON. The JSON of tensor requests is checked where its length within the body is known.
        self._is_json = not self._is_form and not is_inference_path(path)
        self._marks = 0
        self._is_known = False

    async def receive(self) -> Message:
        """Receive the next part of the body; raise if the body exceeds a limit."""
        try:
            return await self._receive_within_limits()
        except AppError as error:
            # FastAPI reports any other exception here as a body that cannot be parsed.
            raise HTTPException(error.status, error.detail, error.headers) from error

    def release(self) -> None:
        """Give back the disk space of the body."""
        self._spool.release(self._spooled)

    async def _receive_within_limits(self) -> Message:
        if self._is_form and self._options.get(b"charset", UTF_8).lower() != UTF_8:
            raise UnsupportedMediaTypeError("Send forms in UTF-8.")
        # A body that declares too great a length is rejected before it is read; any other is counted.
        await self._check(self._announced)
        message = await self._receive()
        part = message.get("body", b"")
        self._received += len(part)
        await self._check(self._received)
        if self._is_json:
            self._marks += count_marks(part)
            check_marks(self._marks)
        if self._is_form:
            self._spool.take(len(part))
            self._spooled += len(part)
        return message

    async def _check(self, size: int) -> None:
        if size > self._limit:
            raise PayloadTooLargeError(f"A body may have at most {self._limit:,} bytes here.")
        if size > STRANGERS_BYTES and not self._is_known:
            auth: AuthService = self._application.state.services.auth
            await auth.authenticate(read_bearer(self._scope))
            self._is_known = True
