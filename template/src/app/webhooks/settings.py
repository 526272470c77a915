"""Whom the service calls, and for how long."""

from pydantic import BaseModel, ConfigDict, Field


class WebhooksSettings(BaseModel):
    """Limits of webhooks."""

    model_config = ConfigDict(extra="forbid")

    most_endpoints: int = Field(default=5, ge=1, description="of one account")
    timeout: float = Field(default=15, gt=0, description="seconds for one delivery, name lookup and answer included")
    allow_loopback: bool = Field(
        default=False, description="deliver to this machine, too, and there without TLS: for development"
    )
