"""CUDA graphs: a model's kernels are recorded once and then launched together."""

import weakref
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from functools import partial
from queue import SimpleQueue
from threading import Thread

import numpy as np
import onnxruntime

from app.adapters.onnx_session import DATATYPES
from app.inference.ports import Tensor
from app.inference.tensor_types import DTYPES


class DeviceBuffers:
    """Run a session with inputs and outputs at fixed addresses on a device, as a recorded graph requires.

    onnxruntime records per thread, and other threads must not use the device while it records. So one thread runs
    everything, and the first run, which records, happens on construction.

    Args:
        kind: type of the device for onnxruntime: `cuda` or `cpu`.
        number: number of the device.
        session: a session whose inputs and outputs have fixed shapes.
    """

    def __init__(self, kind: str, number: int, session: onnxruntime.InferenceSession) -> None:
        on_device = partial(onnxruntime.OrtValue.ortvalue_from_shape_and_type, device_type=kind, device_id=number)
        on_host = partial(onnxruntime.OrtValue.ortvalue_from_shape_and_type, memory_info=_page_locked(kind, number))
        self._session = session
        self._binding = session.io_binding()
        self._inputs: dict[str, _Buffer] = {}
        self._outputs: list[_Buffer] = []
        for each in session.get_inputs():
            self._inputs[each.name] = buffer = _Buffer(each, on_device, on_host)
            self._binding.bind_ortvalue_input(each.name, buffer.device)
        for each in session.get_outputs():
            self._outputs.append(buffer := _Buffer(each, on_device, on_host))
            self._binding.bind_ortvalue_output(each.name, buffer.device)
        self._thread = _CallThread()
        self({name: np.zeros_like(buffer.array) for name, buffer in self._inputs.items()})

    def __call__(self, inputs: Mapping[str, Tensor]) -> list[Tensor]:
        """Compute all outputs; one call at a time.

        Raises:
            ValueError: an input's type or shape differs from the graph's; copying it would corrupt memory.
        """
        for name, buffer in self._inputs.items():
            given, own = inputs[name], buffer.array
            if (given.dtype, given.shape) != (own.dtype, own.shape):
                raise ValueError(f"{name} is {given.dtype} {given.shape}, not {own.dtype} {own.shape}")
        return self._thread.call(partial(self._run, inputs))

    def _run(self, inputs: Mapping[str, Tensor]) -> list[Tensor]:
        for name, buffer in self._inputs.items():
            buffer.array[...] = inputs[name]
            buffer.device.update_inplace(buffer.host)
        self._binding.synchronize_inputs()
        self._session.run_with_iobinding(self._binding)
        self._binding.synchronize_outputs()
        for buffer in self._outputs:
            buffer.host.update_inplace(buffer.device)
        # Copies, because the next run overwrites the buffers.
        return [buffer.array.copy() for buffer in self._outputs]


_Call = tuple[Callable[[], list[Tensor]], Future[list[Tensor]]]


class _CallThread:
    """Make all calls in one thread; unlike an executor's, it does not delay the end of the process if a call hangs."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        weakref.finalize(self, self._calls.put, None)
        Thread(target=_serve, args=(self._calls,), name="device-buffers", daemon=True).start()

    def call(self, function: Callable[[], list[Tensor]]) -> list[Tensor]:
        """Return what the function returns, or raise what it raises."""
        future: Future[list[Tensor]] = Future()
        self._calls.put((function, future))
        return future.result()


def _serve(calls: SimpleQueue[_Call | None]) -> None:
    while call := calls.get():
        function, future = call
        try:
            future.set_result(function())
        except BaseException as error:  # noqa: BLE001 - the caller's
            future.set_exception(error)
        del call, function, future  # they would keep an unloaded model in memory


class _Buffer:
    """An input or output on a device, with a host buffer of the same shape, which `array` is a view of."""

    def __init__(
        self,
        node: onnxruntime.NodeArg,
        on_device: Callable[..., onnxruntime.OrtValue],
        on_host: Callable[..., onnxruntime.OrtValue],
    ) -> None:
        dtype = DTYPES[DATATYPES[node.type]]
        self.device = on_device(node.shape, dtype)
        self.host = on_host(node.shape, dtype)
        self.array: Tensor = self.host.numpy()


def _page_locked(kind: str, number: int) -> onnxruntime.OrtMemoryInfo | None:
    """Return page-locked host memory, from and to which a GPU copies directly; None for other devices."""
    if kind != "cuda":
        return None
    types, places = onnxruntime.OrtAllocatorType, onnxruntime.OrtMemType
    memory = onnxruntime.OrtMemoryInfo("CudaPinned", types.ORT_DEVICE_ALLOCATOR, number, places.CPU_OUTPUT)
    growing = onnxruntime.OrtArenaCfg(0, -1, -1, -1)
    onnxruntime.create_and_register_allocator_v2("CUDAExecutionProvider", memory, {"device_id": str(number)}, growing)
    return memory
