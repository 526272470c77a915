"""HTTP routes for webhooks."""

from uuid import UUID

from fastapi import APIRouter, status

from app.dependencies import CallerDep, PageDep, ServicesDep
from app.pages import Page
from app.webhooks.models import WebhookEndpoint
from app.webhooks.schemas import WebhookCreate, WebhookCreated, WebhookRead

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"])


@router.post("", status_code=status.HTTP_201_CREATED, response_model=WebhookCreated)
async def create_webhook(body: WebhookCreate, caller: CallerDep, services: ServicesDep) -> WebhookEndpoint:
    """Register a URL to call when a job of yours has ended or a review is decided; returns its secret, only here."""
    return await services.webhooks.create(str(body.url), body.events, caller=caller)


@router.get("")
async def list_webhooks(page: PageDep, caller: CallerDep, services: ServicesDep) -> Page[WebhookRead]:
    """List the caller's webhooks, newest first."""
    endpoints, next_cursor = await services.webhooks.list_for(page, caller=caller)
    return Page(items=[WebhookRead.model_validate(endpoint) for endpoint in endpoints], next_cursor=next_cursor)


@router.delete("/{webhook_id}", status_code=status.HTTP_204_NO_CONTENT)
async def delete_webhook(webhook_id: UUID, caller: CallerDep, services: ServicesDep) -> None:
    """Delete a webhook; its pending deliveries are not sent."""
    await services.webhooks.delete(webhook_id, caller=caller)
