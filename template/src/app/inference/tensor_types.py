"""Element types of tensors in the Open Inference Protocol."""

from collections.abc import Mapping
from typing import Any

import numpy as np

# Little-endian, as in the protocol's binary format; BYTES are Python strings in object arrays.
DTYPES: Mapping[str, "np.dtype[Any]"] = {
    "BOOL": np.dtype("?"),
    "BYTES": np.dtype("O"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
    "INT8": np.dtype("i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "UINT8": np.dtype("u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
}


def is_float(datatype: str) -> bool:
    """Return whether the type is a floating-point type."""
    return datatype.startswith("FP")
