"""A client of one conversation over HTTP, and a parser of server-sent events that reads them as a browser does."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
from sqlalchemy import text

from app.database import Database
from tests.chat.fake_provider import WORDS

ANSWER = "".join(WORDS)
BEGUN = "".join(WORDS[:2])  # where the provider stops if it does not reach the end
either = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


@dataclass(frozen=True)
class Event:
    """A server-sent event."""

    name: str
    id: int | None
    data: Any


@dataclass
class Talk:
    """A client of one conversation."""

    client: httpx2.AsyncClient
    path: str

    async def say(self, content: str, key: str | None = None, **options: Any) -> httpx2.Response:  # noqa: ANN401
        """Send a message and wait for the complete response."""
        headers = {"Idempotency-Key": key} if key else {}
        return await self.client.post(f"{self.path}/messages", json={"content": content, **options}, headers=headers)

    async def messages(self) -> list[dict[str, Any]]:
        """Return the stored messages, oldest first."""
        response = await self.client.get(f"{self.path}/messages")
        assert response.status_code == 200, response.text
        items: list[dict[str, Any]] = response.json()["items"]
        return items[::-1]

    async def wait_for(self, count: int) -> list[dict[str, Any]]:
        """Wait until `count` messages are stored and return them."""
        async with asyncio.timeout(10):
            while len(messages := await self.messages()) < count:
                await asyncio.sleep(0.01)
        return messages

    async def resume(self, message_id: str, last_event_id: int | None = None) -> httpx2.Response:
        """Request the events of an answer after `last_event_id`."""
        headers = {} if last_event_id is None else {"Last-Event-ID": str(last_event_id)}
        return await self.client.get(f"{self.path}/messages/{message_id}/events", headers=headers)


def parse(body: str) -> list[Event]:
    """Parse the server-sent events of a response body."""
    events = []
    for block in body.strip().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if not line.startswith(":"))
        if fields:
            position = int(fields["id"]) if "id" in fields else None
            events.append(Event(fields["event"], position, json.loads(fields["data"])))
    return events


def text_of(events: list[Event]) -> str:
    """Join the text of the tokens."""
    return "".join(event.data["text"] for event in events if event.name == "token")


async def expire(database: Database) -> None:
    """Expire every turn, as if its process had died long ago."""
    async with database.transaction() as session:
        await session.execute(text("UPDATE conversations SET turn_until = now() - interval '1 second'"))
