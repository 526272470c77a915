"""What webhooks need from the outside."""

from collections.abc import Mapping
from typing import Protocol


class WebhookSender(Protocol):
    """Calls servers that owners have named."""

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        """Post a message and return the HTTP status that it was answered with; redirects are not followed.

        Raises:
            UnprocessableError: the URL leads to an address that may not be called.
            UnavailableError: it leads nowhere, or nobody answers there as HTTP asks.
            UpstreamTimeoutError: the answer takes too long.
        """
