"""Serialization of long lists to JSON without blocking the event loop."""

import asyncio
from collections.abc import Iterable, Sequence

import orjson


async def write_list(parts: Iterable[Sequence[object]]) -> orjson.Fragment:
    """Serialize a list for use in a response; yield to the event loop between its parts.

    Args:
        parts: consecutive parts of the list, created lazily; they may contain numpy arrays.
    """
    written: list[bytes] = []
    for part in parts:
        if written:
            await asyncio.sleep(0)
        # A float32 is written with its own precision, with half the digits of a Python float.
        written.append(orjson.dumps(part, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1])
    return orjson.Fragment(b"[" + b",".join(written) + b"]")
