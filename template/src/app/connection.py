"""Cancellation of work whose client has disconnected."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from fastapi import Request

from app.errors import ClientGoneError

Result = TypeVar("Result")


async def while_connected(request: Request, work: Coroutine[Any, Any, Result]) -> Result:
    """Run the work for a request whose body has been read, until the client disconnects.

    Raises:
        ClientGoneError: the client disconnected; the work was cancelled.
    """
    doing = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({doing, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if doing.done():
            return doing.result()
        doing.cancel()
        await asyncio.wait({doing})
        raise ClientGoneError("The client disconnected.")
    finally:
        doing.cancel()
        leaving.cancel()
        # An error's traceback refers to this frame: with these variables it would be in a reference cycle, which would
        # keep the request until the next full garbage collection.
        del doing, leaving


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
