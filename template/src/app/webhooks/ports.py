"""The port for sending webhooks."""

from collections.abc import Mapping
from typing import Protocol


class WebhookSender(Protocol):
    """Posts messages to servers of owners."""

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        """Post a message and return the HTTP status of the response; redirects are not followed.

        Raises:
            UnprocessableError: the URL resolves to an address that is not allowed.
            UnavailableError: the host cannot be resolved or reached, or the response is not valid HTTP.
            UpstreamTimeoutError: the delivery timed out.
        """
