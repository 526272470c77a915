"""Stopping work whose client has gone."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from fastapi import Request

from app.errors import ClientGoneError

Result = TypeVar("Result")


async def while_connected(request: Request, work: Coroutine[Any, Any, Result]) -> Result:
    """Do work whose request has been read to its end, unless the client goes away first.

    Raises:
        ClientGoneError: it did; the work was cancelled.
    """
    doing = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({doing, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if doing.done():
            return doing.result()
        doing.cancel()
        await asyncio.wait({doing})
        raise ClientGoneError("The client has gone.")
    finally:
        doing.cancel()
        leaving.cancel()
        # An error of the work has this frame in its traceback: with what is named here it would hold itself, and the
        # request with it, until the next full garbage collection.
        del doing, leaving


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
