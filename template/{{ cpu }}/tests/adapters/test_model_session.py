"""Tests of models on the CPU."""

from pathlib import Path

import pytest

from app.adapters.model_session import ModelSessionSettings, open_model_session
from app.errors import StartupError

MODEL = Path(__file__).parents[2] / "models" / "embedding" / "model.onnx"


async def test_the_provider_is_the_one_that_is_named() -> None:
    async with open_model_session(ModelSessionSettings(threads=1), MODEL) as session:
        assert session.provider == "CPUExecutionProvider"
        assert session.output_names == ["sentence_embedding"]


async def test_a_model_that_may_run_on_the_cpu_among_others_does() -> None:
    async with open_model_session(ModelSessionSettings(), MODEL, providers=["cuda", "cpu"]) as session:
        assert session.provider == "CPUExecutionProvider"


async def test_a_model_that_may_not_run_on_the_cpu_is_refused_and_the_remedy_is_told() -> None:
    with pytest.raises(StartupError, match='add "cpu" to `providers`'):
        async with open_model_session(ModelSessionSettings(), MODEL, providers=["tensorrt", "cuda"]):
            pass


async def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"not a model")
    with pytest.raises(StartupError, match=r"model\.onnx"):
        async with open_model_session(ModelSessionSettings(), tmp_path / "model.onnx"):
            pass
