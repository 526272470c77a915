"""Load and run ONNX models with onnxruntime."""

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import onnxruntime
import structlog

from app.errors import OutOfMemoryError, StartupError
from app.inference.memory import available_bytes
from app.inference.ports import Tensor, TensorSpec

log = structlog.get_logger(__name__)

DATATYPES = {
    "tensor(bool)": "BOOL",
    "tensor(double)": "FP64",
    "tensor(float)": "FP32",
    "tensor(float16)": "FP16",
    "tensor(int16)": "INT16",
    "tensor(int32)": "INT32",
    "tensor(int64)": "INT64",
    "tensor(int8)": "INT8",
    "tensor(string)": "BYTES",
    "tensor(uint16)": "UINT16",
    "tensor(uint32)": "UINT32",
    "tensor(uint64)": "UINT64",
    "tensor(uint8)": "UINT8",
}

GIGABYTE = 1_000_000_000
# Messages of onnxruntime and CUDA if there is not enough memory for a run.
OUT_OF_MEMORY = re.compile(
    "[Ff]ailed to allocate|smaller than requested bytes|bad_alloc|out of memory|_ALLOC_FAILED|cudaErrorMemoryAllocation"
)
# Messages of onnxruntime, and explanations for the operator.
MEANINGS = {
    r"official support for domain|IR version": "it is for a newer ONNX than this release of onnxruntime knows; "
    "export it for an older opset, or update onnxruntime",
    r"Protobuf parsing failed": "it is cut off, or no ONNX graph",
    r"No Op registered|not a registered function/op": "it has operators that onnxruntime lacks",
    OUT_OF_MEMORY.pattern: "there is not enough memory for it",
}


Compute = Callable[[dict[str, Tensor]], list[Tensor]]
"""Computes all outputs from inputs by name."""


class OnnxModelSession:
    """A model loaded by onnxruntime.

    Args:
        session: the loaded model.
        compute: runs the model; by default `session.run`.
    """

    def __init__(self, session: onnxruntime.InferenceSession, compute: Compute | None = None) -> None:
        self._session = session
        self._compute = compute or partial(session.run, None)

    @property
    def provider(self) -> str:
        """The first provider that the session actually uses, which may differ from the requested one."""
        first: str = self._session.get_providers()[0]
        return first

    @property
    def output_names(self) -> list[str]:
        """Names of the outputs, in the order in which `run` returns them."""
        return [output.name for output in self._session.get_outputs()]

    @property
    def inputs(self) -> list[TensorSpec]:
        """Inputs that `run` requires."""
        return [_spec(each) for each in self._session.get_inputs()]

    @property
    def outputs(self) -> list[TensorSpec]:
        """Outputs in the order in which `run` returns them."""
        return [_spec(each) for each in self._session.get_outputs()]

    def operators_on(self, provider: str) -> list[str]:
        """Return the operators of the nodes that a provider runs, one per node."""
        parts = self._session.get_provider_graph_assignment_info()
        return [node.op_type for part in parts if part.ep_name == provider for node in part.get_nodes()]

    @property
    def shares(self) -> dict[str, float]:
        """Fraction of the nodes that each provider runs."""
        counts = {each: len(self.operators_on(each)) for each in self._session.get_providers()}
        return {each: round(count / max(1, sum(counts.values())), 3) for each, count in counts.items()}

    def run(self, inputs: Mapping[str, Tensor]) -> list[Tensor]:
        """Compute all outputs.

        Raises:
            OutOfMemoryError: there is not enough memory for these inputs; smaller inputs may run.
        """
        try:
            return self._compute(dict(inputs))
        except Exception as error:
            if not OUT_OF_MEMORY.search(str(error)):
                raise
            log.warning("model_session.out_of_memory", provider=self.provider, reason=" ".join(str(error).split()))
            raise OutOfMemoryError("The model has too little memory for this input.", retry_after=1) from error


def _spec(node: onnxruntime.NodeArg) -> TensorSpec:
    return TensorSpec(node.name, DATATYPES.get(node.type, node.type), tuple(node.shape or ()))


async def load_session(
    path: Path,
    *,
    providers: Sequence[str | tuple[str, dict[str, Any]]],
    threads: int,
    bind: Callable[[onnxruntime.InferenceSession], Compute] | None = None,
) -> OnnxModelSession:
    """Load a model in a thread.

    Args:
        path: the model file.
        providers: execution providers, preferred first, some with options.
        threads: threads that one run may use; 0 leaves it to onnxruntime.
        bind: returns the function that runs the session; by default `session.run`.

    Raises:
        StartupError: the file is missing, larger than the available memory, or not a model that onnxruntime can run.
    """
    if not await asyncio.to_thread(path.is_file):
        raise StartupError(f"The model file {path} is missing.")
    _check_memory(path)
    options = _session_options(threads)

    def load() -> OnnxModelSession:
        session = onnxruntime.InferenceSession(str(path), sess_options=options, providers=list(providers))
        # Otherwise onnxruntime silently falls back to the CPU after a provider's failure.
        session.disable_fallback()
        return OnnxModelSession(session, bind(session) if bind else None)

    try:
        loaded = await asyncio.to_thread(load)
    except Exception as error:
        raise StartupError(f"onnxruntime cannot load {path}: {_meaning(str(error))}") from error
    if len(providers) > 1:
        log.info("model_session.placed", model=str(path), shares=loaded.shares)
    return loaded


def _session_options(threads: int) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Spinning threads waste the cores that the event loop and the database need.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Record which provider runs each node: the first provider may leave most nodes to the last one.
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    return options


def _check_memory(path: Path) -> None:
    # Weights may be stored next to the graph, in files whose names start with the graph's name.
    needed = sum(each.stat().st_size for each in path.parent.glob(f"{path.name}*"))
    available = available_bytes()
    if available is not None and needed > available:
        size, left = f"{needed / GIGABYTE:.1f} GB", f"{available / GIGABYTE:.1f} GB"
        raise StartupError(f"The model {path} has {size}, but only {left} of memory are left.")


def _meaning(reason: str) -> str:
    """Return the reason, preceded by an explanation if it is a known one."""
    line = " ".join(reason.split())
    known = (meaning for words, meaning in MEANINGS.items() if re.search(words, line))
    meaning = next(known, None)
    return line if meaning is None else f"{meaning}. It says: {line}"
