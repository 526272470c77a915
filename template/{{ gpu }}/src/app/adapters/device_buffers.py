"""Recorded work of a GPU: a graph of kernels that one thread records, and then launches as one."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import onnxruntime

from app.adapters.onnx_session import DATATYPES
from app.inference.ports import Tensor
from app.inference.tensor_types import DTYPES


class DeviceBuffers:
    """Runs a session with inputs and outputs that stay where they are on a device, as a recorded graph needs them.

    onnxruntime keeps what it records for the thread that ran it, and other threads may not touch the device meanwhile.
    So one thread runs everything, and the first run, which records, comes before any caller.

    Args:
        kind: of the device, in onnxruntime's words: `cuda`, or `cpu`.
        number: of the device.
        session: its inputs and outputs have fixed shapes.
    """

    def __init__(self, kind: str, number: int, session: onnxruntime.InferenceSession) -> None:
        make = partial(onnxruntime.OrtValue.ortvalue_from_shape_and_type, device_type=kind, device_id=number)
        self._session = session
        self._types = {each.name: DTYPES[DATATYPES[each.type]] for each in session.get_inputs()}
        self._inputs = {each.name: make(each.shape, self._types[each.name]) for each in session.get_inputs()}
        self._outputs = {each.name: make(each.shape, DTYPES[DATATYPES[each.type]]) for each in session.get_outputs()}
        self._binding = session.io_binding()
        for name, value in self._inputs.items():
            self._binding.bind_ortvalue_input(name, value)
        for name, value in self._outputs.items():
            self._binding.bind_ortvalue_output(name, value)
        self._owner = ThreadPoolExecutor(1, thread_name_prefix="device-buffers")
        self({name: np.zeros(value.shape(), self._types[name]) for name, value in self._inputs.items()})

    def __call__(self, inputs: Mapping[str, Tensor]) -> list[Tensor]:
        """Compute all outputs; one call at a time.

        Raises:
            ValueError: the inputs are not those of the graph; they would be copied over what lies behind.
        """
        for name, value in self._inputs.items():
            given = inputs[name]
            if given.dtype != self._types[name] or list(given.shape) != list(value.shape()):
                raise ValueError(f"{name} is {given.dtype} {given.shape}, not {self._types[name]} {value.shape()}")
        return self._owner.submit(self._run, inputs).result()

    def _run(self, inputs: Mapping[str, Tensor]) -> list[Tensor]:
        for name, value in self._inputs.items():
            value.update_inplace(inputs[name])
        self._binding.synchronize_inputs()
        self._session.run_with_iobinding(self._binding)
        self._binding.synchronize_outputs()
        # What is shared with the buffers would be the next caller's answer.
        return [np.array(value.numpy()) for value in self._outputs.values()]
