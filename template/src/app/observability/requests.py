"""Middleware for request ids, one log line per request, and unexpected errors."""

import re
import time
from http import HTTPStatus
from uuid import uuid4

import structlog
from opentelemetry.trace import get_current_span
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.problems import problem_of, problem_response
from app.response_headers import collect_response_headers

log = structlog.get_logger(__name__)

HEADER = "X-Request-ID"
# Ids that are accepted from a proxy: short, and harmless in a log line.
ACCEPTABLE = re.compile(r"[A-Za-z0-9._-]{8,128}")
# Probes and Prometheus call these every few seconds; successes are logged at level DEBUG.
QUIET = ("/health/", "/metrics", "/v2/health/")


class RequestMiddleware:
    """Assigns a request id, logs the request, and turns unexpected errors into a 500 problem."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        offered = Headers(scope=scope).get(HEADER, "")
        request_id = offered if ACCEPTABLE.fullmatch(offered) else uuid4().hex
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        get_current_span().set_attribute("app.request_id", request_id)
        more = collect_response_headers()
        started = time.perf_counter()
        status: int | None = None

        async def send_named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers.update(more)
                headers[HEADER] = request_id
            await send(message)

        try:
            await self.app(scope, receive, send_named)
        except Exception as error:
            log.exception("request.failed")
            if status is None:
                await problem_response(problem_of(error), scope["path"])(scope, receive, send_named)
        finally:
            seconds = round(time.perf_counter() - started, 4)
            say = log.debug if scope["path"].startswith(QUIET) and status == HTTPStatus.OK else log.info
            say("request.served", method=scope["method"], path=scope["path"], status=status, seconds=seconds)
