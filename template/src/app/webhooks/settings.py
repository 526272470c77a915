"""Settings for webhooks."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

MINUTE, HOUR = 60, 3600


class WebhooksSettings(BaseModel):
    """Limits of endpoints and deliveries."""

    model_config = ConfigDict(extra="forbid")

    most_endpoints: int = Field(default=5, ge=1, description="most endpoints of one account")
    timeout: float = Field(default=15, gt=0, description="seconds for one delivery, including name resolution")
    retry_after: list[Annotated[float, Field(ge=0)]] = Field(
        default=[5, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 10 * HOUR],
        max_length=20,
        description="seconds from each failed delivery to the next attempt; random jitter shortens them by up to half",
    )
    allow_loopback: bool = Field(
        default=False, description="for development: also deliver to loopback addresses, without TLS"
    )
