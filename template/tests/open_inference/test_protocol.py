"""Tests of the Open Inference Protocol over HTTP."""

import asyncio
import json
from typing import Any

import httpx2
import numpy as np
import pytest

from app.auth.caller import Scope
from app.bootstrap import Services
from app.inference.tensor_types import DTYPES
from app.main import JSON_BYTES
from tests.http import Person, join

LENGTH = "Inference-Header-Content-Length"
X = {"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}
GOOD = {"inputs": [X]}


async def infer(person: Person, model: str, body: object, **options: Any) -> httpx2.Response:  # noqa: ANN401 - httpx2's own
    return await person.request("POST", f"/v2/models/{model}/infer", json=body, **options)


async def test_the_server_and_its_models_describe_themselves(ada: Person) -> None:
    server = (await ada.request("GET", "/v2")).json()
    assert server["extensions"] == ["binary_tensor_data", "model_repository"]
    assert server["name"]
    assert server["version"]
    expected = {
        "name": "affine",
        "versions": ["1", "2"],
        "platform": "onnx_onnxv1",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 3]}],
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 3]}],
    }
    for path in ("/v2/models/affine", "/v2/models/affine/versions/1"):
        assert (await ada.request("GET", path)).json() == expected
    for path in ("/v2/models/affine/ready", "/v2/models/affine/versions/1/ready"):
        assert (await ada.request("GET", path)).json() == {"name": "affine", "ready": True}


async def test_probes_need_no_credentials(client: httpx2.AsyncClient) -> None:
    assert (await client.get("/v2/health/live")).json() == {"live": True}
    assert (await client.get("/v2/health/ready")).json() == {"ready": True}


async def test_a_model_that_goes_down_is_not_ready(ada: Person, services: Services) -> None:
    await services.ports.models.served.find("affine").batcher.close(0)
    for path in ("/v2/health/ready", "/v2/models/affine/ready"):
        response = await ada.request("GET", path)
        assert response.status_code == 503
        assert "shutting down" in response.json()["error"]
    assert (await ada.request("GET", "/v2/models/echo/ready")).status_code == 200


async def test_the_newest_version_answers_and_an_older_one_on_request(ada: Person) -> None:
    newest = await infer(ada, "affine", GOOD | {"id": "42"})
    output = {"name": "y", "datatype": "FP32", "shape": [1, 3]}
    assert newest.json() == {
        "model_name": "affine",
        "model_version": "2",
        "id": "42",
        "outputs": [output | {"data": [3, 5, 7]}],
    }
    older = (await infer(ada, "affine/versions/1", GOOD)).json()
    assert older == {"model_name": "affine", "model_version": "1", "outputs": [output | {"data": [2, 3, 4]}]}


async def test_headers_name_what_ran_and_how_long_it_took(ada: Person, services: Services) -> None:
    headers = (await infer(ada, "affine", GOOD)).headers
    assert headers["X-Model"] == "affine@2"
    assert headers["X-Model-Provider"] == services.ports.models.served.find("affine").provider
    assert headers["Server-Timing"].startswith("queue;dur=")


async def test_bytes_in_and_out_are_the_same_numbers_as_json(ada: Person) -> None:
    x = np.array([[1, 2, 3], [4, 5, 6]], "<f4")
    as_json = await infer(ada, "affine", {"inputs": [X | {"shape": [2, 3], "data": x.tolist()}]})
    given = {"name": "x", "datatype": "FP32", "shape": [2, 3], "parameters": {"binary_data_size": x.nbytes}}
    head = json.dumps({"inputs": [given], "parameters": {"binary_data_output": True}}).encode()
    headers = {LENGTH: str(len(head)), "Content-Type": "application/octet-stream"}
    path = "/v2/models/affine/infer"
    as_bytes = await ada.request("POST", path, content=head + x.tobytes(), headers=headers)
    assert as_bytes.headers["Content-Type"] == "application/octet-stream"
    length = int(as_bytes.headers[LENGTH])
    described = json.loads(as_bytes.content[:length])
    assert described["outputs"] == [
        {"name": "y", "datatype": "FP32", "shape": [2, 3], "parameters": {"binary_data_size": 24}}
    ]
    np.testing.assert_array_equal(np.frombuffer(as_bytes.content[length:], "<f4"), as_json.json()["outputs"][0]["data"])


async def test_tensors_of_every_type_come_back_as_they_were(ada: Person) -> None:
    values: dict[str, list[Any]] = {"BOOL": [True, False], "BYTES": ["ä", ""]}
    inputs = [{"name": kind, "datatype": kind, "shape": [2, 1], "data": values.get(kind, [0, 100])} for kind in DTYPES]
    outputs = (await infer(ada, "echo", {"inputs": inputs})).json()["outputs"]
    assert {(each["name"], each["datatype"]): each["data"] for each in outputs} == {
        (f"{kind} again", kind): values.get(kind, [0, 100]) for kind in DTYPES
    }


async def test_the_models_that_the_service_itself_uses_take_tensors_too(ada: Person, services: Services) -> None:
    embedder = services.ports.embedder
    [ids] = [encoding.ids for encoding in embedder.tokenizer.encode_batch(["How long is the warranty?"])]
    shape = {"datatype": "INT64", "shape": [1, len(ids)]}
    inputs = [shape | {"name": "input_ids", "data": ids}, shape | {"name": "attention_mask", "data": [1] * len(ids)}]
    answer = (await infer(ada, embedder.model.name, {"inputs": inputs})).json()
    vector = np.array(answer["outputs"][0]["data"])
    expected = (await embedder.embed_tokens([ids])).vectors[0]
    np.testing.assert_allclose(vector / np.linalg.norm(vector), expected, atol=1e-5)
    assert services.ports.models.served.find(embedder.model.name).signature.by_rows
    picture = {"name": "images", "datatype": "FP32", "shape": [1, 3, 192, 192], "data": [0.5] * (3 * 192 * 192)}
    assert (await infer(ada, "shapes", {"inputs": [picture]})).status_code == 200
    too_long = [each | {"shape": [1, 513], "data": [1] * 513} for each in inputs]
    refused = await infer(ada, embedder.model.name, {"inputs": too_long})
    assert refused.status_code == 400
    assert "at most" in refused.json()["error"]


async def test_callers_at_once_each_get_their_own_rows(ada: Person, services: Services) -> None:
    bob = await join(ada.client, services, "bob@example.com")
    bodies = [{"inputs": [X | {"data": [number, 0, -number]}]} for number in range(40)]
    people = (ada, bob)
    answers = await asyncio.gather(*(infer(people[at % 2], "affine", body) for at, body in enumerate(bodies)))
    for number, answer in enumerate(answers):
        assert answer.json()["outputs"][0]["data"] == [2 * number + 1, 1, 1 - 2 * number]


async def test_a_key_needs_the_scope(client: httpx2.AsyncClient, services: Services) -> None:
    inferring = await join(client, services, "ada@example.com", Scope.INFERENCE)
    other = await join(client, services, "eve@example.com", Scope.EMBEDDINGS)
    assert (await infer(inferring, "affine", GOOD)).status_code == 200
    for method, path in (("POST", "/infer"), ("GET", ""), ("GET", "/ready"), ("GET", "/versions/1")):
        refused = await other.request(method, f"/v2/models/affine{path}", json=GOOD)
        assert refused.status_code == 403
        assert list(refused.json()) == ["error"]
    unknown = await client.post("/v2/models/affine/infer", json=GOOD)
    assert unknown.status_code == 401
    assert list(unknown.json()) == ["error"]
    assert unknown.headers["WWW-Authenticate"] == "Bearer"


async def test_what_does_not_exist_is_not_found_in_the_protocols_shape(ada: Person) -> None:
    for path in ("other", "affine/versions/3", "OTHER%2F..%2Faffine"):
        refused = await infer(ada, path, GOOD)
        assert refused.status_code == 404, path
        assert list(refused.json()) == ["error"]
    assert "affine" in (await infer(ada, "other", GOOD)).json()["error"]
    assert "1, 2" in (await infer(ada, "affine/versions/3", GOOD)).json()["error"]
    wrong_method = await ada.request("GET", "/v2/models/affine/infer")
    assert (wrong_method.status_code, list(wrong_method.json())) == (405, ["error"])


def index(shape: list[int], *data: int) -> dict[str, Any]:
    return {"inputs": [{"name": "index", "datatype": "INT64", "shape": shape, "data": list(data)}]}


HOSTILE: list[tuple[str, object]] = [
    ("affine", {}),
    ("affine", []),
    ("affine", "x"),
    ("affine", None),
    ("affine", {"inputs": []}),
    ("affine", {"inputs": [X] * 2}),
    ("affine", {"inputs": [X] * 65}),
    ("affine", {"inputs": [X | {"name": "z"}]}),
    ("affine", {"inputs": [X | {"datatype": "FP64"}]}),
    ("affine", {"inputs": [X | {"datatype": "INT64"}]}),
    ("affine", {"inputs": [X | {"shape": [3]}]}),
    ("affine", {"inputs": [X | {"shape": [3, 1]}]}),
    ("affine", {"inputs": [X | {"shape": [0, 3], "data": []}]}),
    ("affine", {"inputs": [X | {"shape": [-1, 3]}]}),
    ("affine", {"inputs": [X | {"shape": [2**62, 3]}]}),
    ("affine", {"inputs": [X | {"shape": [2**31 - 1, 3]}]}),
    ("affine", {"inputs": [X | {"shape": [2049, 3], "data": [0] * 3 * 2049}]}),
    ("affine", {"inputs": [X | {"data": [1, 2]}]}),
    ("affine", {"inputs": [X | {"data": [1, 2, float("nan")]}]}),
    ("affine", {"inputs": [X | {"data": [1, 2, float("-inf")]}]}),
    ("affine", {"inputs": [X | {"data": [1, 2, 1e39]}]}),
    ("affine", {"inputs": [X | {"data": "AAAA"}]}),
    ("affine", {"inputs": [X | {"data": [{}, 1, 2]}]}),
    ("affine", {"inputs": [X | {"parameters": {"shared_memory_region": "r"}}]}),
    ("affine", GOOD | {"outputs": [{"name": "z"}]}),
    ("affine", GOOD | {"parameters": []}),
    ("centred", {"inputs": [X | {"data": ["1", "2", "3"]}]}),
    ("fixed", GOOD),
    ("lookup", index([1, 1], 4)),
    ("lookup", index([1, 1], -5)),
    ("lookup", index([1, 1], 2**63)),
    ("lookup", index([1, 17], *[0] * 17)),
    ("lookup", index([65, 1], *[0] * 65)),
    ("masked", {"inputs": [X]}),
    ("masked", {"inputs": [X, {"name": "mask", "datatype": "INT64", "shape": [1, 2], "data": [1, 1]}]}),
    ("masked", {"inputs": [X, {"name": "mask", "datatype": "INT64", "shape": [2, 3], "data": [1] * 6}]}),
    # The sum of nothing is 0, its reciprocal infinite: bytes can carry that, JSON cannot.
    ("masked", {"inputs": [X, {"name": "mask", "datatype": "INT64", "shape": [1, 3], "data": [0] * 3}]}),
]


async def test_whatever_is_wrong_with_a_request_is_said_in_a_line_and_the_models_go_on(ada: Person) -> None:
    for model, body in HOSTILE:
        content = json.dumps(body)
        options = {"content": content, "headers": {"Content-Type": "application/json"}}
        refused = await ada.request("POST", f"/v2/models/{model}/infer", **options)
        assert refused.status_code == 400, (model, content[:200], refused.text[:200])
        error = refused.json()["error"]
        assert list(refused.json()) == ["error"]
        assert len(error) < 500
        assert "\n" not in error
    assert (await infer(ada, "affine", GOOD)).status_code == 200
    assert (await infer(ada, "centred", GOOD)).status_code == 200
    assert (await infer(ada, "lookup", index([1, 2], 0, 3))).json()["outputs"][0]["data"] == [10, 40]


async def test_a_flood_of_bad_values_loses_no_lane(ada: Person) -> None:
    bodies = [index([1, 1], 4 if number % 2 else 3) for number in range(60)]
    answers = await asyncio.gather(*(infer(ada, "lookup", body) for body in bodies))
    assert [answer.status_code for answer in answers] == [200, 400] * 30


@pytest.mark.parametrize("value", [b"x", b"-1", b"1.5", b"", b"9" * 30, b"1000", b"\xb2", "\u0664".encode()])
async def test_a_wrong_length_of_the_json_is_refused(ada: Person, value: bytes) -> None:
    refused = await infer(ada, "affine", GOOD, headers={LENGTH: value})
    assert refused.status_code == 400, refused.text


async def test_other_bodies_are_refused_by_their_kind_and_size(ada: Person) -> None:
    path = "/v2/models/affine/infer"
    for headers in (
        {"Content-Type": "text/csv"},
        {"Content-Encoding": "gzip"},
        {"Content-Type": "multipart/form-data"},
    ):
        refused = await ada.request("POST", path, content=json.dumps(GOOD), headers=headers)
        assert (refused.status_code, list(refused.json())) == (415, ["error"])
    too_large = await ada.request("POST", path, content=b"x" * (JSON_BYTES + 1))
    assert (too_large.status_code, list(too_large.json())) == (413, ["error"])
    text = {"name": "BYTES", "datatype": "BYTES", "shape": [1, 1], "data": ["x" * 9_000_000]}
    assert (await infer(ada, "echo", {"inputs": [text]})).status_code == 400


async def test_numbers_that_are_not_finite_travel_as_bytes_where_the_operator_allows_them(ada: Person) -> None:
    mask = {"name": "mask", "datatype": "INT64", "shape": [1, 3], "data": [0, 0, 0]}
    body = {"inputs": [X, mask], "parameters": {"binary_data_output": True}}
    answer = await infer(ada, "masked", body)
    content = answer.content[int(answer.headers[LENGTH]) :]
    assert np.frombuffer(content, "<f4").tolist() == [0, np.inf]
