"""Tests of invalid cursors."""

import base64
import json

import httpx2
import pytest

from app.bootstrap import Services
from tests.http import join

ID = "0" * 32


def encoded(position: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode()


MADE_UP = {
    "a text": "nothing of the kind",
    "no ASCII": "☃",
    "nested too deep": base64.b64encode(b"[" * 10_000).decode(),
    "a number of too many digits": base64.b64encode(b"[" + b"1" * 5000 + b"]").decode(),
    "too few values": encoded([]),
    "numbers": encoded([1, 2]),
    "no id": encoded(["2026-11-01T00:00:00+00:00", "x"]),
    "a time before the first of UTC": encoded(["0001-01-01T00:00:00+14:00", ID]),
    "a time after the last of UTC": encoded(["9999-12-31T23:59:59-14:00", ID]),
}


@pytest.mark.parametrize("cursor", MADE_UP.values(), ids=MADE_UP.keys())
async def test_a_cursor_that_somebody_made_up_is_refused(
    client: httpx2.AsyncClient, services: Services, cursor: str
) -> None:
    ada = await join(client, services, "ada@example.com")
    response = await ada.request("GET", "/v1/auth/keys", params={"cursor": cursor})
    assert (response.status_code, response.json()["code"]) == (422, "unprocessable")


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"])
async def test_the_first_and_the_last_time_are_places_in_a_list(
    client: httpx2.AsyncClient, services: Services, moment: str
) -> None:
    ada = await join(client, services, "ada@example.com")
    response = await ada.request("GET", "/v1/auth/keys", params={"cursor": encoded([moment, ID])})
    assert response.status_code == 200
