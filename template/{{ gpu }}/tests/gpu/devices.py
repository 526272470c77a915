"""The number of GPUs, according to onnxruntime and to the driver."""

import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import onnxruntime

from app.adapters.model_session import CPU, CUDA, preload

MODEL = Path(__file__).parents[2] / "models" / "embedding" / "model.onnx"


@cache
def count_devices() -> int:
    """Return the number of GPUs that CUDA can use; onnxruntime lists CUDA even without a GPU."""
    preload()
    for number in range(16):
        options = [(CUDA, {"device_id": number}), CPU]
        if onnxruntime.InferenceSession(str(MODEL), providers=options).get_providers()[0] != CUDA:
            return number
    return 16


def count_visible(tool: str = "nvidia-smi", folder: Path = Path("/dev")) -> int:
    """Return the number of GPUs that the driver shows, with or without libraries that can use them."""
    found = shutil.which(tool)
    listed = subprocess.run([found, "-L"], capture_output=True, text=True, check=False).stdout if found else ""  # noqa: S603 - NVIDIA's
    return max(len(re.findall(r"(?m)^GPU \d+:", listed)), len(list(folder.glob("nvidia[0-9]*"))))
