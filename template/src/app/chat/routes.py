"""HTTP routes for chat completions in OpenAI's format."""

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
from app.chat.requests import read_cache_preference, read_limit, read_prompt, read_request
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
# The schema of a server-sent event (OpenAPI 3.2, section 4.14.4).
STREAM_EVENT = {
    "type": "object",
    "required": ["data"],
    "properties": {"data": {"type": "string", "description": "a chunk or an error as JSON, or [DONE]"}},
}
CACHE_HEADER = {
    "description": "Source of the answer to a request that may be cached: `hit` for a cached answer, `miss` for the "
    "model, `wait` if the stream begins while another request generates the answer.",
    "schema": {"type": "string", "enum": ["hit", "miss", "wait"]},
}
PROMPT_HEADER = {
    "description": "Name and version of the stored prompt that the model got.",
    "schema": {"type": "string", "examples": ["support@2"]},
}
RESPONSES: dict[int | str, dict[str, Any]] = OPENAI_FAILURE | {
    200: {
        "description": "The answer. With `stream: true`, its chunks, followed by `[DONE]` or by an error.",
        "headers": {"X-Answer-Cache": CACHE_HEADER, "X-Prompt": PROMPT_HEADER},
        "content": {"text/event-stream": {"itemSchema": STREAM_EVENT, "example": STREAM_EXAMPLE}},
    }
}


@router.post("/chat/completions", response_model=ChatCompletion, responses=RESPONSES)
async def create_chat_completion(
    body: ChatCompletionCreate, request: Request, caller: CallerDep, services: ServicesDep
) -> ChatCompletion | Response:
    """Generate an answer to a conversation, complete or as a stream of server-sent events."""
    parsed, limit, prompt = read_request(body), read_limit(body), read_prompt(body)
    cache = read_cache_preference(body)
    chat = services.chat
    if not body.stream:
        work = chat.complete(parsed, model=body.model, max_tokens=limit, cache=cache, prompt=prompt, caller=caller)
        return ChatCompletion.of(await while_connected(request, work))
    events = chat.stream(parsed, model=body.model, max_tokens=limit, cache=cache, prompt=prompt, caller=caller)
    reading = await ReadAhead.begin(events)
    include_usage = body.stream_options is not None and body.stream_options.include_usage
    return EventStream(chunk_frames(reading, Chunks(chat.find_model(body.model).name, include_usage)), reading)


@router.post("/chat/batch", responses=OPENAI_FAILURE)
async def create_chat_batch(
    body: ChatBatchCreate, request: Request, caller: CallerDep, services: ServicesDep
) -> ChatBatch:
    """Answer several independent conversations; a failed one does not affect the others."""
    chat = services.chat
    check_batch(len(body.requests), len(await request.body()), chat.settings, caller=caller)
    answer = partial(_answer_one, chat=chat, caller=caller)
    work = answer_each(body.requests, answer, concurrency=chat.settings.batch_concurrency)
    return ChatBatch.of(await while_connected(request, work))


async def _answer_one(
    body: BatchedRequest, *, chat: ChatService, caller: Caller
) -> ChatCompletion | RequestValidationError:
    if isinstance(body, RequestValidationError):
        return body
    # Collect the headers of this answer separately: they do not apply to the batch.
    collect_response_headers()
    if body.stream:
        raise UnsupportedParameterError("A request of a batch is not streamed: leave `stream` out.", param="stream")
    parsed, limit, prompt = read_request(body), read_limit(body), read_prompt(body)
    cache = read_cache_preference(body)
    return ChatCompletion.of(
        await chat.complete(parsed, model=body.model, max_tokens=limit, cache=cache, prompt=prompt, caller=caller)
    )
