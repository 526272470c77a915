"""The whole work on the detector: scenes, fit, graph, and its quality measured on scenes that it has not seen."""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from shutil import copyfile

import numpy as np
import onnx

from foundry.cards import renew
from foundry.detection.graph import INPUT, detector_model
from foundry.detection.measure import measure, render
from foundry.detection.scenes import SIZE, Scene, scenes
from foundry.detection.shapes import CLASSES
from foundry.manifest import MANIFEST, MODEL, checksum

NAME, VERSION = "shapes", "1"
# Seeds of the scenes to fit, and of those to judge the result.
FIT_SEED, JUDGE_SEED = 11, 13
JUDGED_SCENES = 2000


def make_detector(folder: Path) -> None:
    """Draw the scenes, fit the network and write model and manifest to ``folder``."""
    # Measuring and checking do without the large library.
    from foundry.detection.training import Recipe, fit  # noqa: PLC0415

    recipe = Recipe()
    print(f"drawing {recipe.scenes:,} scenes")
    weights = fit(list(scenes(FIT_SEED, recipe.scenes)), recipe)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as made:
        onnx.save(detector_model(weights), Path(made) / MODEL)
        copyfile(Path(made) / MODEL, folder / MODEL)
    write_detector_manifest(folder)


def write_detector_manifest(folder: Path) -> None:
    """Write model.json for the graph that lies in ``folder``."""
    content = {
        "name": NAME,
        "version": VERSION,
        "task": "detection",
        "layout": "yolo",
        "input": INPUT,
        "width": SIZE,
        "height": SIZE,
        "labels": list(CLASSES),
        "files": {MODEL: checksum(folder / MODEL)},
    }
    (folder / MANIFEST).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def measure_detector(folder: Path) -> None:
    """Judge the file in ``folder`` and put the tables into its card."""
    judged = list(scenes(JUDGE_SEED, JUDGED_SCENES))
    table = f"{render(measure(folder / MODEL, judged))}\n\n{_counted(judged)}"
    renew(folder / "model-card.md", table)
    print(table)


def _counted(judged: Sequence[Scene]) -> str:
    boxes = np.concatenate([scene.boxes for scene in judged])
    side = float(np.median((boxes[:, 2:] - boxes[:, :2]).max(axis=1)))
    return f"{len(judged):,} scenes with {len(boxes):,} shapes, half of them less than {side:.0f} pixels across."
