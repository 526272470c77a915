"""Routes for reranking."""

from fastapi import APIRouter, Request, Response

from app.connection import while_connected
from app.dependencies import CallerDep, ServicesDep
from app.inference.model_headers import model_headers
from app.reranking.schemas import RerankCreate, RerankList, rerank_list

router = APIRouter(prefix="/v1/rerank", tags=["rerank"])


@router.post("", response_model_exclude_none=True)
async def rerank_documents(
    body: RerankCreate, caller: CallerDep, services: ServicesDep, request: Request, response: Response
) -> RerankList:
    """Order documents by relevance to a query with a registered cross-encoder.

    Response headers give the model, what it ran on, and the time in the queue and in the model.
    """
    work = services.reranking.rerank(body.query, body.documents, body.model, body.top_n, caller=caller)
    done = await while_connected(request, work)
    times = {"queue_seconds": done.relevance.queue_seconds, "run_seconds": done.relevance.run_seconds}
    response.headers.update(model_headers(done.identity, done.provider, **times))
    return rerank_list(done, body.documents if body.return_documents else None)
