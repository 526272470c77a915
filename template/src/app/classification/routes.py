"""Routes for text classification."""

from fastapi import APIRouter, Request, Response

from app.classification.schemas import ClassificationCreate, ClassificationList, write_classifications
from app.connection import while_connected
from app.dependencies import CallerDep, ServicesDep
from app.inference.model_headers import model_headers

router = APIRouter(prefix="/v1/classifications", tags=["classifications"])


@router.post("", response_model=ClassificationList)
async def classify_texts(
    body: ClassificationCreate, caller: CallerDep, services: ServicesDep, request: Request
) -> Response:
    """Score texts for labels: the caller's, by similarity of embeddings, or those of a registered classifier.

    Response headers give the model, what it ran on, and the time in the queue and in the model.
    """
    work = services.classifications.classify(body.texts, body.model, body.hypotheses, caller=caller)
    done = await while_connected(request, work)
    found = done.classified
    content = await write_classifications(found, model=done.name, version=done.version)
    times = {"queue_seconds": found.queue_seconds, "run_seconds": found.run_seconds}
    headers = model_headers(f"{done.name}@{done.version}", done.provider, **times)
    return Response(content, media_type="application/json", headers=headers)
