"""Tests of object detection over HTTP."""

import json
from typing import Any

import httpx2
import pytest

from app.auth.caller import Scope
from app.bootstrap import Services
from app.main import JSON_BYTES
from tests.http import Person, join
from tests.vision.drawings import base64, encode, huge_jpeg, huge_png, huge_webp, noise, overlap, shapes

ONE, MANY = "/v1/detections", "/v1/detections/batch"


@pytest.fixture
async def ada(client: httpx2.AsyncClient, services: Services) -> Person:
    return await join(client, services, "ada@example.com")


@pytest.fixture
def picture() -> bytes:
    return encode(shapes().image)


async def test_base64_and_a_file_are_answered_alike(ada: Person, picture: bytes) -> None:
    as_json = await ada.request("POST", ONE, json={"image": base64(picture), "threshold": 0.4})
    as_file = await ada.request("POST", ONE, files={"image": ("x.png", picture)}, data={"threshold": "0.4"})
    assert as_json.status_code == as_file.status_code == 200, as_file.text
    body = as_json.json()
    assert set(body) == {"detections", "inference_time_ms", "model_version"}
    assert body["detections"] == as_file.json()["detections"]
    for each in body["detections"]:
        assert set(each) == {"label", "confidence", "bbox"}
        assert 0 <= each["confidence"] <= 1
        assert overlap(tuple(each["bbox"]), shapes().shapes[each["label"]]) > 0.75
    assert len(body["detections"]) == 3


async def test_threshold_and_maximum_are_heeded(ada: Person, picture: bytes) -> None:
    async def found(**options: float) -> list[dict[str, Any]]:
        body = {"image": base64(picture), **options}
        detections: list[dict[str, Any]] = (await ada.request("POST", ONE, json=body)).json()["detections"]
        return detections

    everything = await found(threshold=0, max_detections=300)
    assert len(everything) > 3
    assert await found(threshold=0, max_detections=2) == everything[:2]
    assert all(each["confidence"] >= 0.5 for each in await found(threshold=0.5))


async def test_in_a_batch_one_bad_picture_does_not_spoil_the_others(ada: Person, picture: bytes) -> None:
    contents = [picture, picture[:300], b"GIF89a", huge_png(), picture]
    as_json = await ada.request("POST", MANY, json={"images": [*map(base64, contents), "?"]})
    files = [("images", (f"{number}", content)) for number, content in enumerate(contents)]
    as_files = await ada.request("POST", MANY, files=files)
    assert as_json.status_code == as_files.status_code == 200
    body = as_json.json()
    assert set(body) == {"results", "total_inference_time_ms"}
    assert body["total_inference_time_ms"] > 0
    assert body["results"][0]["detections"] == body["results"][4]["detections"] != []
    assert set(body["results"][0]) == {"detections", "inference_time_ms", "model_version"}
    errors = [result["error"]["status"] for result in body["results"] if "error" in result]
    assert errors == [422, 415, 422, 422]
    assert "50,000" in body["results"][3]["error"]["detail"]
    assert [set(result) for result in as_files.json()["results"]] == [set(result) for result in body["results"][:5]]


async def test_a_batch_of_nothing_but_bad_pictures_is_answered(ada: Person) -> None:
    body = (await ada.request("POST", MANY, json={"images": [base64(b"GIF89a")] * 32})).json()
    assert [result["error"]["code"] for result in body["results"]] == ["unsupported_media_type"] * 32
    assert body["total_inference_time_ms"] == 0


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (huge_png(), 422),
        (huge_jpeg(), 422),
        (huge_webp(), 422),
        (encode(noise(300), "JPEG")[:5000], 422),
        (b"\x89PNG\r\n\x1a\n", 422),
        (b"", 415),
        (b"<html>", 415),
        (encode(noise(30), "GIF"), 415),
        (b"\xff\xd8\xff" + b"x" * 10_000_000, 413),
    ],
)
async def test_a_hostile_file_is_refused_and_the_service_goes_on(
    ada: Person, picture: bytes, content: bytes, status: int
) -> None:
    response = await ada.request("POST", ONE, files={"image": ("x", content)})
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert (await ada.request("POST", ONE, files={"image": ("x", picture)})).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"image": 7},
        {"image": ""},
        {"image": ["x"]},
        {"image": "not base64"},
        {"image": "x", "threshold": 1.5},
        {"image": "x", "threshold": "NaN"},
        {"image": "x", "max_detections": 0},
        {"image": "x", "treshold": 0.5},
        {"image": base64(b"x" * 7_000_000)[:-1]},
        [],
        "x",
    ],
)
async def test_a_wrong_body_is_unprocessable(ada: Person, body: object) -> None:
    response = await ada.request("POST", ONE, json=body)
    assert response.status_code == 422, response.text
    assert len(response.content) < 2000


@pytest.mark.parametrize("count", [0, 33, 64])
async def test_a_batch_is_1_to_32_pictures(ada: Person, picture: bytes, count: int) -> None:
    assert (await ada.request("POST", MANY, json={"images": [base64(picture)] * count})).status_code == 422
    files = [("images", ("x", picture))] * count or [("other", ("x", picture))]
    assert (await ada.request("POST", MANY, files=files)).status_code == 422


async def test_a_string_of_ten_megabytes_is_too_large(ada: Person) -> None:
    response = await ada.request("POST", ONE, json={"image": "A" * JSON_BYTES})
    assert response.status_code == 413


async def test_wrong_media_types_and_forms_are_refused(ada: Person, picture: bytes) -> None:
    for kind in ("text/plain", "image/png", "application/x-www-form-urlencoded"):
        assert (await ada.request("POST", ONE, content=picture, headers={"Content-Type": kind})).status_code == 415
    no_boundary = {"Content-Type": "multipart/form-data"}
    assert (await ada.request("POST", ONE, content=picture, headers=no_boundary)).status_code == 400
    for files, data in [
        ([("image", ("x", picture))] * 2, {}),
        ([("picture", ("x", picture))], {}),
        ([("image", ("x", picture))], {"threshold": "high"}),
        ([("image", ("x", picture))], {"more": "1"}),
    ]:
        assert (await ada.request("POST", ONE, files=files, data=data)).status_code == 422
    flood = [("images", ("x", b"x"))] * 200
    assert (await ada.request("POST", MANY, files=flood)).status_code == 400


async def test_a_key_needs_the_scope(client: httpx2.AsyncClient, services: Services, picture: bytes) -> None:
    seeing = await join(client, services, "ada@example.com", Scope.DETECTIONS)
    blind = await join(client, services, "eve@example.com", Scope.SEARCH)
    for path, body in ((ONE, {"image": base64(picture)}), (MANY, {"images": [base64(picture)]})):
        assert (await seeing.request("POST", path, json=body)).status_code == 200
        assert (await blind.request("POST", path, json=body)).status_code == 403
        assert (await client.post(path, json=body)).status_code == 401


async def test_the_schemas_are_the_promised_ones(client: httpx2.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    schemas = document["components"]["schemas"]
    assert list(schemas["DetectionItem"]["properties"]) == ["label", "confidence", "bbox"]
    assert list(schemas["DetectionList"]["properties"]) == ["detections", "inference_time_ms", "model_version"]
    assert list(schemas["DetectionBatch"]["properties"]) == ["results", "total_inference_time_ms"]
    bodies = [document["paths"][path]["post"]["requestBody"]["content"] for path in (ONE, MANY)]
    assert [set(body) for body in bodies] == [{"application/json", "multipart/form-data"}] * 2
    assert bodies[1]["application/json"]["schema"]["properties"]["images"]["maxItems"] == 32
    assert "$ref" not in json.dumps(bodies)


async def test_readiness_names_the_detector(client: httpx2.AsyncClient) -> None:
    assert (await client.get("/health/ready")).json()["detection_model"]["name"] == "shapes"
