"""How large a request's body may be.

Starlette has such a middleware; its refusal is plain text without the request's identifier, so here is our own.
"""

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class BodyLimitMiddleware:
    """Refuses bodies of more bytes than are allowed, whether or not they declare their length."""

    def __init__(self, app: ASGIApp, *, max_bytes: int, max_upload_bytes: int) -> None:
        """Allow `max_upload_bytes` to multipart forms, which are spooled to disk, and `max_bytes` to all else."""
        self.app = app
        self._max_bytes = max_bytes
        self._max_upload_bytes = max_upload_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        is_upload = headers.get("Content-Type", "").startswith("multipart/form-data")
        limit = self._max_upload_bytes if is_upload else self._max_bytes
        declared = headers.get("Content-Length", "")
        announced = int(declared) if declared.isdecimal() else 0
        received = 0

        async def receive_within_limit() -> Message:
            nonlocal received
            # What is announced as too large is refused before it is read; the rest is counted.
            message: Message = {} if announced > limit else await receive()
            received += len(message.get("body", b""))
            if max(announced, received) > limit:
                raise HTTPException(413, f"A body may have at most {limit:,} bytes here.")
            return message

        await self.app(scope, receive_within_limit, send)
