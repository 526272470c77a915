"""Tests of the detector that ships with the service and of registered ones."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from app.adapters.model_session import open_model_session
from app.auth.caller import Caller
from app.errors import StartupError
from app.settings import Settings
from app.vision.detector import DetectionSettings, Detector, open_detector
from app.vision.manifest import load_detection_model
from app.vision.pictures import Picture
from app.vision.service import DetectionLimits, Detections, DetectionService
from tests.answers.fakes import caller
from tests.vision.drawings import encode, noise, overlap, shapes
from tests.vision.graphs import register, yolo_graph

SHIPPED = Path(__file__).parents[2] / "models" / "detection"


@asynccontextmanager
async def opened(settings: Settings, folder: Path, **changes: int) -> AsyncIterator[Detector]:
    model = load_detection_model(folder)
    detection = DetectionSettings(folder=folder, **changes)
    open_session = partial(open_model_session, settings.model_session, model.graph)
    async with open_detector(detection, settings.batching, open_session, model) as detector:
        yield detector


@pytest.fixture
async def detector(settings: Settings) -> AsyncIterator[Detector]:
    async with opened(settings, SHIPPED) as shipped:
        yield shipped


@pytest.fixture
def ada() -> Caller:
    return caller()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
async def test_the_shipped_detector_finds_what_is_drawn_where_it_is(detector: Detector, ada: Caller, kind: str) -> None:
    drawn = shapes()
    result = await DetectionService(detector).detect(encode(drawn.image, kind), DetectionLimits(0.4), caller=ada)
    assert {each.label for each in result.found} == set(drawn.shapes)
    for each in result.found:
        assert overlap(each.box, drawn.shapes[each.label]) > 0.75, each
        assert 0.4 <= each.confidence <= 1
    assert result.model == "shapes@1"
    assert result.milliseconds > 0


async def test_a_picture_is_seen_alike_alone_and_in_a_batch(detector: Detector) -> None:
    read = await detector.read([encode(noise(60 + seed, seed)) for seed in range(19)])
    pictures = [picture.pixels for picture in read if isinstance(picture, Picture)]
    together = (await detector.detect(pictures)).raws
    alone = await asyncio.gather(*(detector.detect([picture]) for picture in pictures))
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_allclose(one.output, other.raws[0].output, atol=1e-3)
    assert [each.batch for each in together] == [8] * 16 + [3] * 3


async def test_a_yolo_export_works_by_its_registry_entry_alone(settings: Settings, ada: Caller, tmp_path: Path) -> None:
    # In the model's input the thing is at 320, 320 with 160 x 80 pixels; the picture is twice as large and has bars.
    folder = register(tmp_path, yolo_graph((320, 320, 160, 80), label=41))
    async with opened(settings, folder) as yolo:
        white = encode(Image.new("RGB", (1280, 960), (255, 255, 255)))
        result = await DetectionService(yolo).detect(white, DetectionLimits(), caller=ada)
        batch = await DetectionService(yolo).detect_many([white] * 3, DetectionLimits(), caller=ada)
    [found] = result.found
    assert (found.label, result.model) == ("thing 41", "yolo@11n")
    assert found.box == (480, 400, 800, 560)
    assert 0.8 < found.confidence < 0.9  # three quarters of the input are white, the bars are grey
    assert [each.found for each in batch.results if isinstance(each, Detections)] == [[found]] * 3


async def test_a_graph_that_is_not_what_its_entry_says_is_refused_at_the_start(
    settings: Settings, tmp_path: Path
) -> None:
    graph = yolo_graph((1, 1, 1, 1), label=0)
    cases: list[tuple[dict[str, Any], str]] = [
        ({"labels": ["one", "two"]}, r"\[batch, 6, cells\]"),
        ({"input": "pixels"}, "cannot run as its manifest says"),
        ({"width": 320}, "cannot run as its manifest says"),
        ({"max_batch": 8}, "8 of 640x640 pixels at once; if fewer do, set a smaller APP_DETECTION__BATCH_SIZE"),
    ]
    for changes, reason in cases:
        with pytest.raises(StartupError, match=reason):
            async with opened(settings, register(tmp_path, graph, **changes)):
                pass


def test_a_detector_that_runs_elsewhere_needs_no_graph_here(tmp_path: Path) -> None:
    manifest = json.loads((SHIPPED / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps(manifest | {"files": {}}))
    assert load_detection_model(tmp_path).identity == load_detection_model(SHIPPED).identity


def test_a_folder_that_is_not_as_declared_is_refused(tmp_path: Path) -> None:
    folder = shutil.copytree(SHIPPED, tmp_path / "model")
    entry = json.loads((folder / "model.json").read_text())
    with (folder / "model.onnx").open("ab") as file:
        file.write(b"!")
    with pytest.raises(StartupError, match="sha256"):
        load_detection_model(folder)
    (folder / "model.onnx").unlink()
    with pytest.raises(StartupError, match="missing"):
        load_detection_model(folder)
    shutil.copy(SHIPPED / "model.onnx", folder)
    for name, reason in (("model.onnx.data", "missing"), ("../model.onnx", "beside its manifest")):
        files = entry["files"] | {name: entry["files"]["model.onnx"]}
        (folder / "model.json").write_text(json.dumps(entry | {"files": files}))
        with pytest.raises(StartupError, match=reason):
            load_detection_model(folder)
    (folder / "model.json").write_text(json.dumps(entry | {"layout": "ssd"}))
    with pytest.raises(StartupError, match="layout"):
        load_detection_model(folder)
    with pytest.raises(StartupError, match="No detection model"):
        load_detection_model(tmp_path / "nowhere")
