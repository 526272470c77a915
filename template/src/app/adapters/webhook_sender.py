"""Sends webhooks, only to addresses that were checked first."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import httpx2

from app.adapters.tls import tls_context
from app.errors import UnavailableError, UnprocessableError, UpstreamTimeoutError
from app.webhooks.addresses import may_be_called
from app.webhooks.settings import WebhooksSettings

PORTS = {"http": 80, "https": 443}
FIXED = {"Content-Type": "application/json", "User-Agent": "webhooks/1.0"}


class HttpWebhookSender:
    """Resolves the host once and connects only to the addresses that were checked."""

    def __init__(self, settings: WebhooksSettings, trust: ssl.SSLContext) -> None:
        self._settings = settings
        self._trust = trust

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        """Post a message and return the status; the body of the answer is not read."""
        try:
            target = httpx2.URL(url)
            async with asyncio.timeout(self._settings.timeout):
                addresses = await self._look_up(target)
                return await self._post(target, addresses, headers, body)
        except (TimeoutError, httpx2.TimeoutException) as error:
            raise UpstreamTimeoutError("The receiver did not answer in time.") from error
        except httpx2.InvalidURL as error:
            raise UnprocessableError("The URL cannot be called.") from error
        except (OSError, UnicodeError, httpx2.TransportError) as error:
            raise UnavailableError("The receiver cannot be reached, or has no valid certificate.") from error

    async def _look_up(self, target: httpx2.URL) -> Sequence[str]:
        port = target.port or PORTS[target.scheme]
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(target.raw_host, port, type=socket.SOCK_STREAM)
        addresses = [str(sockaddr[0]).partition("%")[0] for *_, sockaddr in found]
        allow_loopback = self._settings.allow_loopback
        # One that may not be called speaks against all: whoever mixes them means no good.
        if not all(may_be_called(each, target.scheme, allow_loopback=allow_loopback) for each in addresses):
            raise UnprocessableError("The receiver's name leads to an address that may not be called.")
        return addresses

    async def _post(self, target: httpx2.URL, addresses: Sequence[str], headers: Mapping[str, str], body: bytes) -> int:
        # A client for each delivery: a connection that is kept is known by its address, and names may share one.
        # No proxy of the environment, which would look the name up again by itself.
        # Each address has its share of the time to take the call, and the answer one more.
        timeout = httpx2.Timeout(self._settings.timeout, connect=self._settings.timeout / (len(addresses) + 1))
        async with httpx2.AsyncClient(verify=self._trust, trust_env=False, timeout=timeout) as client:
            failure: httpx2.TransportError | None = None
            for address in addresses:
                request = client.build_request(
                    "POST",
                    target.copy_with(host=address),
                    headers={**FIXED, **headers, "Host": target.netloc.decode()},
                    content=body,
                    # The certificate is the name's, not the address's.
                    extensions={"sni_hostname": target.raw_host.decode()},
                )
                try:
                    response = await client.send(request, stream=True, follow_redirects=False)
                except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
                    failure = error
                    continue
                await response.aclose()
                return response.status_code
            raise failure or httpx2.ConnectError("The name has no address.")


@asynccontextmanager
async def open_webhook_sender(settings: WebhooksSettings) -> AsyncIterator[HttpWebhookSender]:
    """Yield a sender that trusts the machine's certificate authorities."""
    yield HttpWebhookSender(settings, tls_context())
