"""Triton's HTTP client, as it is, against the service."""

import asyncio
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from tritonclient import http
from tritonclient.http import aio
from tritonclient.utils import InferenceServerException

from emitted.conftest import each_combination
from emitted.stack import Stack, running

MODEL = "static-minilm"
TOKENS = [[101, 2129, 2146, 2003, 1996, 10943, 2100, 1029, 102]]


@each_combination("Triton", only="pgvector-arq-cpu")
def test_tritons_client_runs_tensors_in_bytes_and_in_json(project: Path) -> None:
    with running(project) as stack:
        answer = stack.request("POST", "/v1/embeddings", json={"model": MODEL, "input": TOKENS})
        expected = np.array(answer["data"][0]["embedding"], np.float32)
        client = http.InferenceServerClient(stack.url.removeprefix("http://"))
        try:
            describe(client, stack.headers)
            for binary in (True, False):
                result = client.infer(MODEL, inputs(binary=binary), request_id="7", headers=stack.headers)
                assert result.get_response()["id"] == "7"
                check(result, expected)
                outputs = [http.InferRequestedOutput("sentence_embedding", binary_data=binary)]
                check(client.infer(MODEL, inputs(binary=binary), "1", outputs, headers=stack.headers), expected)
            with pytest.raises(InferenceServerException, match="There is no input"):
                client.infer(MODEL, [http.InferInput("other", [1, 1], "INT64")], headers=stack.headers)
            with pytest.raises(InferenceServerException, match="Bearer"):
                client.infer(MODEL, inputs(binary=True))
            load_and_unload(client, stack.headers, project)
        finally:
            client.close()
        check(asyncio.run(infer_asynchronously(stack)), expected)


def describe(client: http.InferenceServerClient, headers: dict[str, str]) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(MODEL, headers=headers)
    assert client.is_model_ready(MODEL, "1", headers=headers)
    assert not client.is_model_ready("other", headers=headers)
    assert "binary_tensor_data" in client.get_server_metadata(headers=headers)["extensions"]
    model = client.get_model_metadata(MODEL, headers=headers)
    assert [each["name"] for each in model["inputs"]] == ["input_ids", "attention_mask"]


def load_and_unload(client: http.InferenceServerClient, headers: dict[str, str], project: Path) -> None:
    folder = project / "models" / "copy"
    shutil.copytree(project / "models" / "embedding", folder)
    try:
        checksum = hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest()
        manifest = {"name": "copy", "version": "7", "task": "tensors", "files": {"model.onnx": checksum}}
        (folder / "model.json").write_text(json.dumps(manifest))
        assert state(client, headers) == "UNAVAILABLE"
        client.load_model("copy", headers=headers)
        assert state(client, headers) == "READY"
        assert client.infer("copy", inputs(binary=True), headers=headers).get_response()["model_version"] == "7"
        with pytest.raises(InferenceServerException, match="send no configuration"):
            client.load_model("copy", headers=headers, config="{}")
        client.unload_model("copy", headers=headers)
        assert not client.is_model_ready("copy", headers=headers)
    finally:
        shutil.rmtree(folder)


def state(client: http.InferenceServerClient, headers: dict[str, str]) -> str:
    index = client.get_model_repository_index(headers=headers)
    return str(next(each["state"] for each in index if (each["name"], each["version"]) == ("copy", "7")))


def inputs(*, binary: bool) -> list[http.InferInput]:
    ids = np.array(TOKENS, np.int64)
    tensors = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    given = [http.InferInput(name, list(tensor.shape), "INT64") for name, tensor in tensors.items()]
    for each, tensor in zip(given, tensors.values(), strict=True):
        each.set_data_from_numpy(tensor, binary_data=binary)
    return given


def check(result: http.InferResult, expected: np.ndarray) -> None:
    vector = result.as_numpy("sentence_embedding")[0]
    np.testing.assert_allclose(vector / np.linalg.norm(vector), expected, atol=1e-5)


async def infer_asynchronously(stack: Stack) -> http.InferResult:
    async with aio.InferenceServerClient(stack.url.removeprefix("http://")) as client:
        return await client.infer(MODEL, inputs(binary=True), headers=stack.headers)
