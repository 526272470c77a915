"""Tests of the execution providers that manifests may require."""

import json
import shutil
from pathlib import Path

import pytest

from app.bootstrap import open_ports
from app.errors import StartupError
from app.inference.model_folders import ModelsSettings
from app.settings import Settings
from tests.inference.tensor_graphs import affine, register
from tests.reranking.graphs import cross_encoder, register_cross_encoder

MODELS = Path(__file__).parents[2] / "models"
CPU = "CPUExecutionProvider"


def declare(folder: Path, *providers: str) -> None:
    manifest = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(manifest | {"providers": providers}))


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    for name in ("embedding", "detection"):
        shutil.copytree(MODELS / name, tmp_path / name)
    register(tmp_path / "models", "affine", affine())
    register_cross_encoder(tmp_path / "models", cross_encoder())
    changes = {
        "embedding": settings.embedding.model_copy(update={"folder": tmp_path / "embedding"}),
        "detection": settings.detection.model_copy(update={"folder": tmp_path / "detection"}),
        "models": ModelsSettings(folder=tmp_path / "models"),
    }
    return settings.model_copy(update=changes)


FOLDERS = ("embedding", "detection", "models/affine-1", "models/judge-1")


async def test_models_declared_for_the_cpu_run_on_the_cpu(settings: Settings, tmp_path: Path) -> None:
    for name in FOLDERS:
        declare(tmp_path / name, "cpu")
    async with open_ports(settings, serving=True) as ports:
        assert {model.name: model.provider for model in ports.models.served.all()} == dict.fromkeys(
            ("affine", "judge", ports.embedder.model.name, ports.detector.model.manifest.name), CPU
        )


@pytest.mark.parametrize("name", FOLDERS)
async def test_an_unknown_provider_ends_the_start_with_its_name(settings: Settings, tmp_path: Path, name: str) -> None:
    declare(tmp_path / name, "rocm")
    with pytest.raises(StartupError, match="rocm"):
        async with open_ports(settings, serving=True):
            pass
