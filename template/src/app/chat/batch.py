"""Batches of chat completions: limits and concurrent execution."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

import structlog

from app.auth.caller import Caller, Scope
from app.chat.settings import ChatSettings
from app.errors import AppError, PayloadTooLargeError, UnsupportedParameterError
from app.problems import report_failure

log = structlog.get_logger(__name__)

Request = TypeVar("Request")
Result = TypeVar("Result")


def check_batch(requests: int, size: int, settings: ChatSettings, *, caller: Caller) -> None:
    """Check the caller's scope, the number of requests, and the size of the body in bytes.

    Raises:
        ForbiddenError: the caller lacks the scope for chat.
        UnsupportedParameterError: there are too many requests.
        PayloadTooLargeError: there are too many bytes.
    """
    caller.require(Scope.CHAT)
    if requests > settings.batch_requests:
        raise UnsupportedParameterError(
            f"A batch may have at most {settings.batch_requests} requests here.", param="requests"
        )
    if size > settings.batch_bytes:
        raise PayloadTooLargeError(f"The body of a batch may have at most {settings.batch_bytes:,} bytes here.")


async def answer_each(
    requests: Sequence[Request], answer: Callable[[Request], Coroutine[Any, Any, Result]], *, concurrency: int
) -> list[Result | Exception]:
    """Answer requests, at most `concurrency` at a time, and return the results in order; a failure is its exception.

    Cancelling the call also cancels the running requests and starts no others.
    """
    free = asyncio.Semaphore(concurrency)

    async def settle(index: int, request: Request) -> Result | Exception:
        async with free:
            try:
                return await answer(request)
            except AppError as error:
                report_failure(error)
                return error
            except Exception as error:
                # One failure must not affect the others.
                log.exception("chat.crashed", index=index)
                return error

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(settle(index, request)) for index, request in enumerate(requests)]
    return [task.result() for task in tasks]
