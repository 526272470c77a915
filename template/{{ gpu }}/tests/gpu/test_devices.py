"""Tests that an unusable GPU is an error, not a silent skip."""

import os
from pathlib import Path

import pytest

from tests.gpu.devices import count_devices, count_visible


@pytest.mark.gpu
@pytest.mark.skipif(os.environ.get("APP_MODEL_SESSION__ALLOW_FALLBACK") == "true", reason="the CPU will do here")
def test_a_gpu_that_the_driver_shows_can_be_used() -> None:
    assert count_devices() or not count_visible(), (
        "The driver shows a GPU that onnxruntime cannot use: run `uv sync --extra cuda`, and have driver 580 or newer."
    )


def test_the_driver_is_asked_for_its_gpus(tmp_path: Path) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text('#!/bin/sh\necho "GPU 0: NVIDIA H200 (UUID: GPU-1)"\necho "GPU 1: NVIDIA H200 (UUID: GPU-2)"\n')
    tool.chmod(0o755)
    assert count_visible(str(tool), tmp_path) == 2
    assert count_visible("no-such-tool", tmp_path) == 0
    (tmp_path / "nvidia0").touch()
    (tmp_path / "nvidiactl").touch()
    assert count_visible("no-such-tool", tmp_path) == 1
