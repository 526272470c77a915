"""Tests of the webhook sender: it calls only the addresses that it has checked, and with a timeout."""

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

from app.adapters.webhook_sender import HttpWebhookSender, open_webhook_sender
from app.errors import UnavailableError, UnprocessableError, UpstreamTimeoutError
from app.webhooks.settings import WebhooksSettings
from tests.webhooks.receiver import Receiver, serve_receiver

HEADERS = {"webhook-id": "msg_1"}
BODY = b'{"type":"job.succeeded"}'


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with serve_receiver() as serving:
        yield serving


@pytest.fixture
async def sender() -> AsyncIterator[HttpWebhookSender]:
    """Return a sender that may call this machine."""
    async with open_webhook_sender(WebhooksSettings(allow_loopback=True, timeout=10)) as opened:
        yield opened


@pytest.fixture
async def strict() -> AsyncIterator[HttpWebhookSender]:
    """Return a sender that may not call this machine."""
    async with open_webhook_sender(WebhooksSettings()) as opened:
        yield opened


def fake_dns(monkeypatch: pytest.MonkeyPatch, *rounds: list[str]) -> list[str]:
    """Resolve names to these addresses, one list per lookup, and return the list of names that were looked up."""
    asked: list[str] = []

    def look_up(host: bytes | str, port: int, *_: object, **__: object) -> list[Any]:
        found = rounds[min(len(asked), len(rounds) - 1)]
        asked.append(host.decode() if isinstance(host, bytes) else host)
        return [
            (socket.AF_INET6 if ":" in each else socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port))
            for each in found
        ]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return asked


@contextmanager
def unresponsive_listener(host: str, port: int) -> Iterator[None]:
    """Listen with a full backlog, so that connections are never completed."""
    with ExitStack() as stack:
        server = stack.enter_context(socket.socket())
        server.bind((host, port))
        server.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.settimeout(0)
            waiting.connect_ex((host, port))
        yield


async def test_a_message_arrives_as_it_was_sent(receiver: Receiver, sender: HttpWebhookSender) -> None:
    assert await sender.send(receiver.url, HEADERS, BODY) == 204
    [message] = receiver.messages
    assert (message.id, message.body, message.headers["content-type"]) == ("msg_1", BODY, "application/json")
    assert message.headers["host"] == urlsplit(receiver.url).netloc


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.1",
        "0.0.0.0",  # noqa: S104 - nothing is bound to it
        "0",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "169.254.169.254",
        "10.0.0.1",
        "[fe80::1]",
        "[fd00:ec2::254]",
    ],
)
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_no_way_of_writing_an_inner_address_leads_to_it(
    receiver: Receiver, strict: HttpWebhookSender, scheme: str, host: str
) -> None:
    port = urlsplit(receiver.url).port
    with pytest.raises(UnprocessableError):
        await strict.send(f"{scheme}://{host}:{port}/hooks", HEADERS, BODY)
    assert receiver.messages == []
    assert not receiver.sender_left.is_set()


@pytest.mark.parametrize(
    "addresses", [["127.0.0.1"], ["8.8.8.8", "127.0.0.1"], ["169.254.169.254"], ["2606:4700:4700::1111", "fd00::1"]]
)
async def test_a_name_that_leads_inside_is_refused_even_if_it_leads_elsewhere_too(
    monkeypatch: pytest.MonkeyPatch, strict: HttpWebhookSender, addresses: list[str]
) -> None:
    fake_dns(monkeypatch, addresses)
    with pytest.raises(UnprocessableError):
        await strict.send("https://rebind.example/hooks", HEADERS, BODY)


async def test_a_name_is_looked_up_once_and_what_was_looked_at_is_called(
    monkeypatch: pytest.MonkeyPatch, receiver: Receiver, sender: HttpWebhookSender
) -> None:
    # A second lookup would return an address without a listener.
    asked = fake_dns(monkeypatch, ["127.0.0.1"], ["127.0.0.99"])
    port = urlsplit(receiver.url).port
    assert await sender.send(f"http://rebind.example:{port}/hooks", HEADERS, BODY) == 204
    assert asked == ["rebind.example"]
    assert receiver.messages[0].headers["host"] == f"rebind.example:{port}"


async def test_the_next_address_is_tried_where_nobody_takes_the_call(
    monkeypatch: pytest.MonkeyPatch, receiver: Receiver, sender: HttpWebhookSender
) -> None:
    fake_dns(monkeypatch, ["127.0.0.99", "127.0.0.1"])
    port = urlsplit(receiver.url).port
    assert await sender.send(f"http://two.example:{port}/hooks", HEADERS, BODY) == 204
    assert len(receiver.messages) == 1


async def test_the_next_address_is_tried_where_one_is_silent(
    monkeypatch: pytest.MonkeyPatch, receiver: Receiver, sender: HttpWebhookSender
) -> None:
    fake_dns(monkeypatch, ["127.0.0.99", "127.0.0.1"])
    port = urlsplit(receiver.url).port
    assert port is not None
    with unresponsive_listener("127.0.0.99", port):
        assert await sender.send(f"http://two.example:{port}/hooks", HEADERS, BODY) == 204
    assert len(receiver.messages) == 1


async def test_a_redirect_is_told_and_not_followed(receiver: Receiver, sender: HttpWebhookSender) -> None:
    async with serve_receiver() as other:
        receiver.answers, receiver.location = [307], other.url
        assert await sender.send(receiver.url, HEADERS, BODY) == 307
        assert other.messages == []


async def test_a_receiver_that_says_nothing_is_left(receiver: Receiver) -> None:
    receiver.is_silent = True
    async with open_webhook_sender(WebhooksSettings(allow_loopback=True, timeout=0.3)) as impatient:
        with pytest.raises(UpstreamTimeoutError):
            await impatient.send(receiver.url, HEADERS, BODY)
    await receiver.sender_left.wait()


async def test_an_answer_without_end_is_not_read(receiver: Receiver, sender: HttpWebhookSender) -> None:
    receiver.is_endless = True
    assert await sender.send(receiver.url, HEADERS, BODY) == 204
    await receiver.sender_left.wait()


async def test_a_refused_connection_is_unavailable(sender: HttpWebhookSender) -> None:
    with pytest.raises(UnavailableError):
        await sender.send("http://127.0.0.1:9/hooks", HEADERS, BODY)


async def test_a_proxy_of_the_environment_is_not_asked(
    monkeypatch: pytest.MonkeyPatch, receiver: Receiver, sender: HttpWebhookSender
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    assert await sender.send(receiver.url, HEADERS, BODY) == 204
