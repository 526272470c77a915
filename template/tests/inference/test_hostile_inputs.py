"""Tests that hostile inputs are answered with a 4xx and do not affect the next request."""

import json
from typing import Any

import httpx2
import numpy as np
import pytest

from app.bootstrap import Services
from app.main import JSON_BYTES
from tests.http import Person, join
from tests.vision.drawings import base64, encode, huge_jpeg, huge_png, huge_webp, noise, shapes

EMBEDDINGS, ONE, MANY = "/v1/embeddings", "/v1/detections", "/v1/detections/batch"
INFER = "/v2/models/{}/infer"
PICTURE = encode(shapes().image)
GOOD: list[tuple[str, dict[str, Any]]] = [
    (EMBEDDINGS, {"model": "static-minilm", "input": ["How long?", "Two years."]}),
    (ONE, {"image": base64(PICTURE)}),
    (MANY, {"images": [base64(PICTURE)] * 3}),
]


def text(value: object, **more: object) -> bytes:
    return json.dumps({"model": "static-minilm", "input": value} | more).encode()


def image(value: object, **more: object) -> bytes:
    return json.dumps({"image": value} | more).encode()


def tensor(name: str, datatype: str, shape: list[int], data: object) -> bytes:
    return json.dumps({"inputs": [{"name": name, "datatype": datatype, "shape": shape, "data": data}]}).encode()


def pixels(values: list[float]) -> bytes:
    size = [1, 3, 192, 192]
    data = np.resize(np.array(values), int(np.prod(size))).tolist()
    return tensor("images", "FP32", size, data)


DEEP = b"[" * 200_000

HOSTILE: dict[str, tuple[str, bytes, int]] = {
    "a truncated PNG": (ONE, image(base64(PICTURE[: len(PICTURE) // 2])), 422),
    "a truncated JPEG": (ONE, image(base64(encode(noise(300), "JPEG")[:5000])), 422),
    "a truncated WebP": (ONE, image(base64(encode(noise(300), "WEBP")[:5000])), 422),
    "a PNG of 50,000 x 50,000": (ONE, image(base64(huge_png())), 422),
    "a JPEG of 50,000 x 50,000": (ONE, image(base64(huge_jpeg())), 422),
    "a WebP of 16,383 x 16,383": (ONE, image(base64(huge_webp())), 422),
    "a picture that is no base64": (ONE, image("\ud800"), 422),
    "a threshold that is no number": (ONE, b'{"image": "AA==", "threshold": NaN}', 422),
    "a picture of 10 MB of text": (ONE, image("A" * JSON_BYTES), 413),
    "2,049 pictures": (MANY, json.dumps({"images": ["AA=="] * 2049}).encode(), 422),
    "pictures nested too deep": (ONE, b'{"image": ' + DEEP, 422),
    "a text of 10 MB": (EMBEDDINGS, text("a" * JSON_BYTES), 413),
    "a text of 9 MB": (EMBEDDINGS, text("a" * 9_000_000), 400),
    "2,049 texts": (EMBEDDINGS, text(["a"] * 2049), 400),
    "2,049 lists of tokens": (EMBEDDINGS, text([[5]] * 2049), 400),
    "half a character": (EMBEDDINGS, text("\ud800"), 400),
    "tokens that are no numbers": (EMBEDDINGS, b'{"model": "static-minilm", "input": [NaN]}', 400),
    "tokens beyond the vocabulary": (EMBEDDINGS, text([[2**31]]), 400),
    "tokens beyond every integer": (EMBEDDINGS, text([[10**400]]), 400),
    "dimensions that are no number": (EMBEDDINGS, b'{"model": "m", "input": "a", "dimensions": NaN}', 400),
    "texts nested too deep": (EMBEDDINGS, DEEP, 400),
    "bytes that are no text": (EMBEDDINGS, b'{"model": "\xff"}', 400),
    "NaN for pixels": (INFER.format("shapes"), pixels([0.5, float("nan")]), 400),
    "infinities for pixels": (INFER.format("shapes"), pixels([float("inf")]), 400),
    "pixels of another type": (INFER.format("shapes"), tensor("images", "INT64", [1, 1], [1]), 400),
    "pixels of another shape": (INFER.format("shapes"), tensor("images", "FP32", [1, 3, 2, 2], [0.0] * 12), 400),
    "tokens of another type": (INFER.format("static-minilm"), tensor("input_ids", "FP32", [1, 1], [1.0]), 400),
    "2,049 rows of tokens": (INFER.format("static-minilm"), tensor("input_ids", "INT64", [2049, 1], [1] * 2049), 400),
}


@pytest.fixture
async def ada(client: httpx2.AsyncClient, services: Services) -> Person:
    return await join(client, services, "ada@example.com")


async def good_answers(person: Person) -> list[object]:
    answers = []
    for path, body in GOOD:
        response = await person.request("POST", path, json=body)
        assert response.status_code == 200, response.text
        found = response.json()
        answers.append(
            found.get("data") or found.get("detections") or [each["detections"] for each in found["results"]]
        )
    return answers


async def test_each_is_refused_and_no_lane_is_lost(ada: Person) -> None:
    before = await good_answers(ada)
    for name, (path, body, status) in HOSTILE.items():
        response = await ada.request("POST", path, content=body, headers={"Content-Type": "application/json"})
        assert response.status_code == status, f"{name}: {response.status_code} {response.text[:300]}"
        assert len(response.content) < 5000, name
    assert await good_answers(ada) == before
    assert (await ada.client.get("/health/ready")).status_code == 200
