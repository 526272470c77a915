"""How large a request's body may be, and of whom: looked at before any of it is parsed.

Starlette has such a middleware; its refusal is plain text without the request's identifier, and FastAPI reads bodies
before it asks who sends them, so here is our own.
"""

from collections.abc import Collection

from python_multipart.multipart import parse_options_header
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.auth.bearer import read_bearer
from app.auth.service import AuthService
from app.errors import AppError

# What may be sent without credentials: more than a sign-in takes. Bytes.
STRANGERS_BYTES = 16_000
FORM = b"multipart/form-data"
# Starlette decodes a form's fields with whatever codec the caller names, and some of Python's take quadratic time.
UTF_8 = b"utf-8"


class BodyLimitMiddleware:
    """Refuses bodies of more bytes than are allowed, whether or not they declare their length."""

    def __init__(self, app: ASGIApp, *, max_bytes: int, max_upload_bytes: int, upload_paths: Collection[str]) -> None:
        """Allow `max_upload_bytes` to forms for the paths that spool them to disk, and `max_bytes` to all else."""
        self.app = app
        self._max_bytes = max_bytes
        self._max_upload_bytes = max_upload_bytes
        self._upload_paths = upload_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        kind, options = parse_options_header(headers.get("Content-Type"))
        is_form = kind == FORM
        limit = self._max_upload_bytes if is_form and scope["path"] in self._upload_paths else self._max_bytes
        declared = headers.get("Content-Length", "")
        announced = int(declared) if declared.isdecimal() else 0
        received = 0
        is_known = False

        async def check(size: int) -> None:
            nonlocal is_known
            if size > limit:
                raise HTTPException(413, f"A body may have at most {limit:,} bytes here.")
            if size > STRANGERS_BYTES and not is_known:
                await _authenticate(scope)
                is_known = True

        async def receive_within_limit() -> Message:
            nonlocal received
            if is_form and options.get(b"charset", UTF_8).lower() != UTF_8:
                raise HTTPException(415, "Send forms in UTF-8.")
            # What is announced as too large is refused before it is read; the rest is counted.
            await check(announced)
            message = await receive()
            received += len(message.get("body", b""))
            await check(received)
            return message

        await self.app(scope, receive_within_limit, send)


async def _authenticate(scope: Scope) -> None:
    auth: AuthService = scope["app"].state.services.auth
    try:
        await auth.authenticate(read_bearer(scope))
    except AppError as error:
        # FastAPI takes anything else that is raised here for a body that cannot be parsed.
        raise HTTPException(error.status, error.detail, error.headers) from error
