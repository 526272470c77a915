"""Models on the GPU, and what happens without one."""

from pathlib import Path

import onnxruntime
import pytest

from app.adapters.model_session import CPU, CUDA, ModelSessionSettings, open_model_session
from app.errors import StartupError

MODEL = Path(__file__).parents[2] / "models" / "embedding" / "model.onnx"


def has_device() -> bool:
    """Tell whether CUDA can really be used; onnxruntime lists it even without a device."""
    session = onnxruntime.InferenceSession(str(MODEL), providers=[CUDA, CPU])
    return bool(session.get_providers()[0] == CUDA)


async def test_without_a_device_the_service_refuses_and_says_what_to_do() -> None:
    if has_device():
        pytest.skip("this machine has a GPU")
    with pytest.raises(StartupError, match="APP_MODEL_SESSION__ALLOW_FALLBACK"):
        async with open_model_session(ModelSessionSettings(), MODEL):
            pass


async def test_with_fallback_allowed_the_provider_that_is_named_is_the_real_one() -> None:
    async with open_model_session(ModelSessionSettings(allow_fallback=True), MODEL) as session:
        assert session.provider == (CUDA if has_device() else CPU)
        assert session.output_names == ["sentence_embedding"]


async def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"not a model")
    with pytest.raises(StartupError, match=r"model\.onnx"):
        async with open_model_session(ModelSessionSettings(allow_fallback=True), tmp_path / "model.onnx"):
            pass
