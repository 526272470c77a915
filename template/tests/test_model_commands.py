"""Tests of the operator's commands for models."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.fake_model_server import serve_fake_model
from tests.adapters.hub_server import Hub, open_hub
from tests.classification.graphs import register_classifier, summing_classifier
from tests.commands import attempt, run
from tests.inference.tensor_graphs import affine, register
from tests.reranking.graphs import cross_encoder, register_cross_encoder

ROOT = Path(__file__).parents[1]
COMMIT = "0123456789abcdef0123456789abcdef01234567"
CONTENT = b"a graph" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
PULL = ["models", "pull", "acme/churn", "--revision", COMMIT, "--sha256", SHA256]

pytestmark = pytest.mark.usefixtures("settings")


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Return the operator's folder of models."""
    monkeypatch.setenv("APP_MODELS__FOLDER", str(tmp_path))
    return tmp_path


def columns(printed: str) -> list[list[str]]:
    return [line.split() for line in printed.splitlines()]


def test_the_list_shows_what_manifests_declare_without_reading_the_graphs(folder: Path) -> None:
    lost = register(folder, "lost", affine()) / "model.onnx"
    lost.unlink()
    checksum = json.loads((folder / "lost-1" / "model.json").read_text())["files"]["model.onnx"]
    head, *rows = columns(run("models", "list"))
    assert head == ["NAME", "VERSION", "TASK", "MB", "SHA256", "FOLDER"]
    assert [row[2] for row in rows] == ["embedding", "detection", "tensors"]
    assert rows[2][:5] == ["lost", "1", "tensors", "missing", checksum[:12]]


def test_a_manifest_that_cannot_be_read_does_not_hide_the_others(folder: Path) -> None:
    register(folder, "good", affine())
    (folder / "bad").mkdir()
    (folder / "bad" / "model.json").write_text("{")
    listed = attempt("models", "list")
    assert listed.exit_code == 0
    assert "good" in listed.stdout
    [line] = listed.stderr.splitlines()
    assert str(folder / "bad" / "model.json") in line


def test_models_that_would_open_are_ready_one_line_each(folder: Path) -> None:
    register(folder, "churn", affine())
    register_cross_encoder(folder, cross_encoder())
    register_classifier(folder, summing_classifier())
    lines = run("models", "verify").splitlines()
    assert [line.split()[:3] for line in lines[2:]] == [
        ["churn@1", "is", "ready:"],
        ["judge@1", "is", "ready:"],
        ["moods@1", "is", "ready:"],
    ]
    assert len(lines) == 5


def test_a_model_that_runs_elsewhere_is_tried_there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (register(folder, "affine", affine(), files={}) / "model.onnx").unlink()
    with serve_fake_model() as server:
        monkeypatch.setenv("APP_REMOTE_INFERENCE__URLS", json.dumps([server.url]))
        monkeypatch.setenv("APP_REMOTE_INFERENCE__MODELS", '{"affine": "affine"}')
        *_, line = run("models", "verify").splitlines()
        assert line.startswith("affine@1 is ready: ")
        assert f"remote:{server.host}" in line
        assert f"remote:{server.host}" in run("models", "bench", "affine", "--seconds", "0.1")
        server.mood = "status-404"
        refused = attempt("models", "verify")
    assert refused.exit_code == 1
    assert "check the model's name and the key" in refused.stderr


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"files": {"model.onnx": "0" * 64}}, "is not the file that model.json declares"),
        ({"files": {}}, "declared None"),
        ({"warm_up": {"z": [1]}}, "names z; the inputs are x"),
        ({"warm_up": {"x": [1, 5]}}, "does not run"),
        ({"labels": ["yes", "no", "maybe"]}, "tokenizer.json is missing"),
        ({"max_batch": 0}, "max_batch"),
    ],
)
def test_a_model_that_would_not_open_is_one_line_and_the_others_are_looked_at(
    folder: Path, changes: dict[str, Any], says: str
) -> None:
    register(folder, "bad", affine(), **changes)
    register(folder, "good", affine())
    result = attempt("models", "verify")
    assert result.exit_code == 1
    # onnxruntime prints warnings of its own if there is no device.
    [told] = [line for line in result.stderr.splitlines() if line.startswith(str(folder))]
    assert told.startswith(f"{folder / 'bad-1'}: ")
    assert says in told
    assert "good@1 is ready" in result.stdout


def test_a_graph_of_an_opset_that_the_runtime_lacks_is_told(folder: Path) -> None:
    graph = affine()
    graph.opset_import[0].version = 99
    register(folder, "future", graph)
    result = attempt("models", "verify")
    assert result.exit_code == 1
    [line] = [line for line in result.stderr.splitlines() if str(folder) in line]
    assert "export it for an older opset" in line


def test_a_file_that_is_no_graph_is_told(folder: Path) -> None:
    where = register(folder, "text", affine())
    (where / "model.onnx").write_bytes(CONTENT)
    manifest = json.loads((where / "model.json").read_text())
    (where / "model.json").write_text(json.dumps(manifest | {"files": {"model.onnx": SHA256}}))
    result = attempt("models", "verify")
    assert result.exit_code == 1
    assert "cannot load" in result.stderr


def test_two_models_of_one_name_and_version_are_told(folder: Path) -> None:
    register(folder, "churn", affine())
    (folder / "churn-1").rename(folder / "copy")
    register(folder, "churn", affine(3.0))
    result = attempt("models", "verify")
    assert result.exit_code == 1
    assert "Two models are called churn@1" in result.stderr


def test_the_bench_tells_the_curve_and_the_choice(folder: Path) -> None:
    register(folder, "churn", affine(), max_batch=4)
    first, head, *rows, choice = run("models", "bench", "churn", "--seconds", "0.5").splitlines()
    assert first.startswith("churn@1 on ")
    assert head.split() == ["ROWS", "P50", "MS", "ROWS/S"]
    assert [int(row.split()[0]) for row in rows] == [1, 2, 4]
    assert all(float(row.split()[1]) >= 0 and float(row.split()[2]) > 0 for row in rows)
    assert choice.startswith("lanes ")
    assert choice.endswith("batches up to 4 rows")


def test_the_bench_measures_what_the_service_ships_with() -> None:
    printed = run("models", "bench", "shapes@1", "--seconds", "0.1")
    assert "PICTURES" in printed
    assert "TOKENS" in run("models", "bench", "static-minilm", "--seconds", "0.1")


def test_the_bench_gives_a_detector_as_many_pictures_as_the_service_does(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / "shapes"
    shutil.copytree(ROOT / "models" / "detection", folder)
    declared = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(declared | {"max_batch": 2}))
    monkeypatch.setenv("APP_DETECTION__FOLDER", str(folder))
    _, _, *rows, _ = run("models", "bench", "shapes@1", "--seconds", "0.5").splitlines()
    assert [int(row.split()[0]) for row in rows] == [1, 2]


def test_the_bench_knows_no_other_models() -> None:
    result = attempt("models", "bench", "nothing")
    assert result.exit_code == 1
    assert "app models list" in str(result.exception)


def test_a_pulled_model_is_where_it_was_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    into = tmp_path / "models" / "churn"
    with open_hub(Hub(CONTENT)) as hub:
        monkeypatch.setenv("HF_ENDPOINT", f"{hub.endpoint}/")
        monkeypatch.setenv("HF_TOKEN", "hf_secret")
        options = [*PULL, "--into", str(into), "--file", "onnx/model_fp16.onnx", "--as", "model.onnx"]
        assert run(*options) == f"{into / 'model.onnx'} is there: sha256 {SHA256}"
        assert run(*options) == f"{into / 'model.onnx'} is there already: sha256 {SHA256}"
    assert (into / "model.onnx").read_bytes() == CONTENT
    assert hub.asked == [(f"/acme/churn/resolve/{COMMIT}/onnx/model_fp16.onnx", None, "Bearer hf_secret")]


@pytest.mark.parametrize(
    "options",
    [
        ["--revision", "main"],
        ["--sha256", "abc"],
        ["--file", "../model.onnx"],
        ["--file", "/model.onnx"],
        ["--as", "../model.onnx"],
        ["--endpoint", "ftp://hub"],
    ],
)
def test_what_is_not_pinned_or_leads_elsewhere_is_refused(tmp_path: Path, options: list[str]) -> None:
    result = attempt(*PULL, "--into", str(tmp_path), *options)
    assert result.exit_code == 2
    assert options[0] in result.stderr
    assert list(tmp_path.iterdir()) == []
