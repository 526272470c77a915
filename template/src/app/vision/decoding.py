"""Decoding pictures in a few dedicated threads, with fair scheduling between owners."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial

from app.errors import AppError
from app.inference.batching import Batcher, open_batcher
from app.inference.latency_curve import LatencyCurve
from app.vision.letterbox import Size
from app.vision.opening import PictureLimits
from app.vision.pictures import Picture, read_picture

# Decoding time assumed until it has been measured: this many seconds per this many bytes of a file.
UNIT_BYTES, UNIT_SECONDS = 100_000, 0.005


def decoding_units(content: bytes | str) -> int:
    """Estimate the work of decoding a file, in units of `UNIT_BYTES`."""
    return 1 + len(content) // UNIT_BYTES


def decode(limits: PictureLimits, into: Size, contents: Sequence[bytes | str]) -> list[Picture | AppError]:
    """Decode files one by one; a file that cannot be decoded gives its error instead."""
    return [_decode_one(content, limits, into) for content in contents]


def open_decoders(
    name: str, limits: PictureLimits, into: Size, *, threads: int, grace: float
) -> AbstractAsyncContextManager[Batcher]:
    """Start decoding threads; on exit queued work may finish within the grace period.

    Args:
        name: name for logs and metrics.
        limits: size limits of pictures.
        into: size of the model's input.
        threads: number of pictures that are decoded concurrently.
        grace: grace period in seconds.
    """
    speed = LatencyCurve.assumed(1, UNIT_SECONDS, lanes=threads)
    return open_batcher(name, [partial(decode, limits, into)] * threads, speed, rows=1, grace=grace)


def _decode_one(content: bytes | str, limits: PictureLimits, into: Size) -> Picture | AppError:
    try:
        return read_picture(content, limits, into)
    except AppError as error:
        return error
