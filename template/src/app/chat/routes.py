"""Chat completions over HTTP, in OpenAI's shape."""

from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response

from app.auth.caller import Caller
from app.chat.batch import answer_each, check_batch
from app.chat.batch_schemas import BatchedRequest, ChatBatch, ChatBatchCreate
from app.chat.chunks import Chunks, chunk_frames
from app.chat.completions import ChatCompletion
from app.chat.requests import read_cache_wish, read_limit, read_prompt, read_request
from app.chat.schemas import ChatCompletionCreate
from app.chat.service import ChatService
from app.connection import while_connected
from app.dependencies import CallerDep, ServicesDep
from app.errors import UnsupportedParameterError
from app.event_stream import EventStream, ReadAhead
from app.openai_errors import OPENAI_FAILURE
from app.response_headers import collect_response_headers

router = APIRouter(prefix="/v1", tags=["chat"])

STREAM_EXAMPLE = """\
data: {"id":"chatcmpl-…","object":"chat.completion.chunk",…,"choices":[{"index":0,"delta":{"role":"assistant",…},…}]}

data: {"id":"chatcmpl-…","object":"chat.completion.chunk",…,"choices":[{"index":0,"delta":{"content":"24 months"},…}]}

data: {"id":"chatcmpl-…","object":"chat.completion.chunk",…,"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}

data: [DONE]
"""
# An event as OpenAPI describes them (3.2, section 4.14.4).
STREAM_EVENT = {
    "type": "object",
    "required": ["data"],
    "properties": {"data": {"type": "string", "description": "a chunk or an error in JSON, or [DONE]"}},
}
CACHE_HEADER = {
    "description": "Where the answer to a request that may be cached comes from: `hit` is a kept one, `miss` the "
    "model's, `wait` one that another request is getting while the stream begins.",
    "schema": {"type": "string", "enum": ["hit", "miss", "wait"]},
}
PROMPT_HEADER = {
    "description": "Name and version of the stored prompt that the answer is written under.",
    "schema": {"type": "string", "examples": ["support@2"]},
}
RESPONSES: dict[int | str, dict[str, Any]] = OPENAI_FAILURE | {
    200: {
        "description": "The answer, or with `stream: true` its chunks and at the end `[DONE]`, or an error without it.",
        "headers": {"X-Answer-Cache": CACHE_HEADER, "X-Prompt": PROMPT_HEADER},
        "content": {"text/event-stream": {"itemSchema": STREAM_EVENT, "example": STREAM_EXAMPLE}},
    }
}


@router.post("/chat/completions", response_model=ChatCompletion, responses=RESPONSES)
async def create_chat_completion(
    body: ChatCompletionCreate, request: Request, caller: CallerDep, services: ServicesDep
) -> ChatCompletion | Response:
    """Answer a conversation."""
    asked, limit, wish, prompt = read_request(body), read_limit(body), read_cache_wish(body), read_prompt(body)
    chat = services.chat
    if not body.stream:
        work = chat.complete(asked, model=body.model, max_tokens=limit, cache=wish, prompt=prompt, caller=caller)
        return ChatCompletion.of(await while_connected(request, work))
    events = chat.stream(asked, model=body.model, max_tokens=limit, cache=wish, prompt=prompt, caller=caller)
    reading = await ReadAhead.begin(events)
    include_usage = body.stream_options is not None and body.stream_options.include_usage
    return EventStream(chunk_frames(reading, Chunks(chat.find_model(body.model).name, include_usage)), reading)


@router.post("/chat/batch", responses=OPENAI_FAILURE)
async def create_chat_batch(
    body: ChatBatchCreate, request: Request, caller: CallerDep, services: ServicesDep
) -> ChatBatch:
    """Answer many conversations, each as if it had come alone; one that fails does not harm the others."""
    chat = services.chat
    check_batch(len(body.requests), len(await request.body()), chat.settings, caller=caller)
    answer = partial(_answer_apart, chat=chat, caller=caller)
    work = answer_each(body.requests, answer, concurrency=chat.settings.batch_concurrency)
    return ChatBatch.of(await while_connected(request, work))


async def _answer_apart(
    body: BatchedRequest, *, chat: ChatService, caller: Caller
) -> ChatCompletion | RequestValidationError:
    if isinstance(body, RequestValidationError):
        return body
    # What one answer says in headers is not true of all.
    collect_response_headers()
    if body.stream:
        raise UnsupportedParameterError("A request of a batch is not streamed: leave `stream` out.", param="stream")
    asked, limit, wish, prompt = read_request(body), read_limit(body), read_cache_wish(body), read_prompt(body)
    return ChatCompletion.of(
        await chat.complete(asked, model=body.model, max_tokens=limit, cache=wish, prompt=prompt, caller=caller)
    )
