"""HTTP routes for searches and answers."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from app.answers.events import answer_frames
from app.answers.schemas import AnswerCreate, AnswerRead, SearchCreate, SearchRead
from app.connection import while_connected
from app.dependencies import CallerDep, ServicesDep
from app.event_stream import EventStream, ReadAhead

router = APIRouter(prefix="/v1", tags=["answers"])

STREAM_EXAMPLE = """\
event: passages
data: {"items":[{"passage_id":"…","document_id":"…","filename":"warranty.pdf","text":"…","score":0.83,…}]}

event: token
data: {"text":"The warranty lasts 24 months"}

event: done
data: {"answer":"The warranty lasts 24 months. [1]","citations":[…],"model":"offline:extractive","usage":{…},…}
"""
# The schema of an event, as in OpenAPI 3.2, section 4.14.4.
STREAM_EVENT = {
    "type": "object",
    "required": ["event", "data"],
    "properties": {
        "event": {"enum": ["passages", "token", "done", "error"]},
        "data": {"type": "string", "contentMediaType": "application/json"},
    },
}
STREAM_RESPONSE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The answer, or with `stream: true` the events `passages`, `token` (many), and at the end "
        "`done` with the complete answer or `error` with a problem.",
        "content": {"text/event-stream": {"itemSchema": STREAM_EVENT, "example": STREAM_EXAMPLE}},
    }
}


@router.post("/search")
async def search(body: SearchCreate, caller: CallerDep, services: ServicesDep, request: Request) -> SearchRead:
    """Find the passages of the caller's documents that match a query best."""
    retrieval = services.retrieval
    filters = body.filters.as_search_filters() if body.filters else None
    work = retrieval.search(body.query, caller=caller, top_k=body.top_k, filters=filters)
    return SearchRead.of(await while_connected(request, work), retrieval.embedder.model.identity)


@router.post("/answers", response_model=AnswerRead, responses=STREAM_RESPONSE)
async def create_answer(
    body: AnswerCreate, caller: CallerDep, services: ServicesDep, request: Request
) -> AnswerRead | Response:
    """Answer a question from the caller's documents, with citations that can be checked."""
    answers, question, top_k = services.answers, body.question, body.top_k
    filters = body.filters.as_search_filters() if body.filters else None
    prompt = body.prompt.as_choice() if body.prompt else None
    if not body.stream:
        work = answers.answer(question, caller=caller, top_k=top_k, filters=filters, prompt=prompt)
        return AnswerRead.of(await while_connected(request, work))
    events = answers.stream(question, caller=caller, top_k=top_k, filters=filters, prompt=prompt)
    first = await anext(events)  # an error before the first event is an ordinary error response
    reading = ReadAhead(events)
    return EventStream(answer_frames(first, reading), reading)
