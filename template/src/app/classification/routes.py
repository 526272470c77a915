"""Classification of texts over HTTP."""

from fastapi import APIRouter, Request, Response

from app.classification.schemas import ClassificationCreate, ClassificationList, ClassificationUsage, best_first
from app.connection import while_connected
from app.dependencies import CallerDep, ServicesDep
from app.inference.model_headers import model_headers

router = APIRouter(prefix="/v1/classifications", tags=["classifications"])


@router.post("")
async def classify_texts(
    body: ClassificationCreate, caller: CallerDep, services: ServicesDep, request: Request, response: Response
) -> ClassificationList:
    """Choose among the caller's labels by the likeness of embeddings, or among those of a registered classifier."""
    work = services.classifications.classify(body.texts, body.model, body.hypotheses, caller=caller)
    done = await while_connected(request, work)
    found = done.classified
    times = {"queue_seconds": found.queue_seconds, "run_seconds": found.run_seconds}
    response.headers.update(model_headers(f"{done.name}@{done.version}", done.provider, **times))
    return ClassificationList(
        results=best_first(found),
        model=done.name,
        version=done.version,
        usage=ClassificationUsage(prompt_tokens=found.tokens, total_tokens=found.tokens),
    )
