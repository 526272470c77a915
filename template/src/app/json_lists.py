"""Long lists as JSON, written without keeping the event loop."""

import asyncio
from collections.abc import Iterable, Sequence

import orjson


async def write_list(parts: Iterable[Sequence[object]]) -> orjson.Fragment:
    """Write a list as part of an answer; between two of its parts others have their turn.

    Args:
        parts: pieces of the list, in order, made when they are written; arrays of numpy may be in them.
    """
    written: list[bytes] = []
    for part in parts:
        if written:
            await asyncio.sleep(0)
        # Numbers are written with the digits that a float32 has: half of those that Python's floats would be.
        written.append(orjson.dumps(part, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1])
    return orjson.Fragment(b"[" + b",".join(written) + b"]")
