"""WebSocket route for object detection in a stream of frames."""

from contextlib import suppress
from typing import Any

import structlog
from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from pydantic import ValidationError

from app.auth.caller import Caller, Scope
from app.dependencies import ServicesDep
from app.errors import UnauthenticatedError, UpstreamError
from app.shutdown import ShutdownNotifier
from app.vision.frames import POLICY_VIOLATION, FrameRate, StreamRefusedError
from app.vision.schemas import DetectionOptions
from app.vision.stream import DetectionStream, first_failure

log = structlog.get_logger(__name__)

router = APIRouter(prefix="/v1/detections", tags=["detections"])

PROTOCOL = "detections.v1"
# Browsers cannot set headers on a WebSocket. A token in the URL would end up in logs and histories; a subprotocol is
# sent in a header and is known before the first frame.
TOKEN_PROTOCOL = "bearer."  # noqa: S105 - the prefix of a token
GOING_AWAY, INTERNAL_ERROR, TRY_AGAIN_LATER = 1001, 1011, 1013
# A close frame holds 125 bytes, two of them the code.
REASON_BYTES = 123


@router.websocket("/stream")
async def stream_detections(websocket: WebSocket, services: ServicesDep) -> None:
    """Detect objects in the frames that a client sends; a frame that still waits is replaced by a newer one."""
    await websocket.accept(PROTOCOL if PROTOCOL in websocket.scope["subprotocols"] else None)
    shutdown: ShutdownNotifier = websocket.app.state.shutdown
    with shutdown.connection():
        try:
            await _serve(websocket, services, shutdown)
        except WebSocketDisconnect:
            return
        except StreamRefusedError as refusal:
            code, reason = refusal.code, refusal.reason
        except UpstreamError as error:
            code, reason = TRY_AGAIN_LATER, error.detail
        except Exception:
            log.exception("stream.failed")
            code, reason = INTERNAL_ERROR, "Something went wrong here."
        else:
            code, reason = GOING_AWAY, "The service is stopping; connect again."
        log.info("stream.closed", code=code, reason=reason)
        with suppress(WebSocketDisconnect):
            await websocket.close(code, reason.encode()[:REASON_BYTES].decode(errors="ignore"))


async def _serve(websocket: WebSocket, services: ServicesDep, shutdown: ShutdownNotifier) -> None:
    """Serve a stream until the process shuts down.

    Raises:
        WebSocketDisconnect: the client has disconnected.
        StreamRefusedError: the client violated the rules of the stream.
        UpstreamError: authentication is unavailable.
    """
    stream = _open_stream(websocket, services)
    await stream.caller()
    await websocket.send_text(stream.ready().model_dump_json())

    async def receive() -> None:
        while True:
            message: dict[str, Any] = dict(await websocket.receive())
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message["code"])
            stream.accept(message)

    async def answer() -> None:
        while True:
            await websocket.send_text((await stream.answer()).model_dump_json())

    await first_failure(receive(), stream.process(), answer(), shutdown.wait())


def _open_stream(websocket: WebSocket, services: ServicesDep) -> DetectionStream:
    try:
        options = DetectionOptions.model_validate(dict(websocket.query_params))
    except ValidationError as error:
        [first, *_] = error.errors()
        raise StreamRefusedError(POLICY_VIOLATION, f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    token = _token(websocket)

    async def authenticate() -> Caller:
        if token is None:
            raise UnauthenticatedError("Send a key or token as `Authorization: Bearer …` or subprotocol `bearer.…`.")
        caller = await services.auth.authenticate(token)
        caller.require(Scope.DETECTIONS)
        return caller

    settings = services.detections.detector.settings
    rate = FrameRate(settings.stream_frames_per_second)
    return DetectionStream(services.detections, authenticate, options.limits(), settings.max_bytes, rate)


def _token(websocket: WebSocket) -> str | None:
    scheme, _, token = websocket.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token:
        return token
    marked = (each for each in websocket.scope["subprotocols"] if each.startswith(TOKEN_PROTOCOL))
    return next((each.removeprefix(TOKEN_PROTOCOL) for each in marked), None)
