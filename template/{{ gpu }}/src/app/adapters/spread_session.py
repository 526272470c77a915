"""A model on several devices: each batch runs on the least busy one; devices that fail are left out."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from threading import Lock

import structlog

from app.errors import AppError, UnavailableError
from app.inference.ports import ModelSession, Tensor, TensorSpec

# Consecutive failures after which a device is checked, and the seconds after which one that is left out is retried.
FAILURES = 3
PAUSE = 30.0

log = structlog.get_logger(__name__)


@dataclass(slots=True, eq=False)
class _Device:
    number: int
    session: ModelSession
    running: int = 0
    turn: int = 0
    failures: int = 0
    retry_at: float | None = None


def spread(sessions: Mapping[int, ModelSession]) -> ModelSession:
    """Combine sessions by device number; those with another provider than the first are logged and left out."""
    first, *_ = sessions.values()
    for device, session in sessions.items():
        if session.provider != first.provider:
            log.error("model_session.device_left_out", device=device, provider=session.provider)
    alike = {number: session for number, session in sessions.items() if session.provider == first.provider}
    return SpreadSession(alike) if len(alike) > 1 else first


class SpreadSession:
    """A model on several devices. Thread-safe.

    A dead device fails immediately, so it would always be the least busy one. Therefore a device that fails several
    times in a row must run a batch that is known to be good, the first that succeeded (at startup). If it can, the
    inputs were at fault; if not, it gets no batches until it can.

    Args:
        sessions: one session per device number.
        clock: monotonic clock in seconds; replaced in tests.
    """

    def __init__(self, sessions: Mapping[int, ModelSession], clock: Callable[[], float] = time.monotonic) -> None:
        self._devices = [_Device(number, session) for number, session in sessions.items()]
        self._first = self._devices[0].session
        self._clock = clock
        self._known_good: Mapping[str, Tensor] | None = None
        self._turns = count(1)
        self._lock = Lock()

    @property
    def devices(self) -> int:
        """Number of devices."""
        return len(self._devices)

    @property
    def provider(self) -> str:
        """The execution provider, the same on all devices."""
        return self._first.provider

    @property
    def output_names(self) -> list[str]:
        """Names of the outputs, in the order in which `run` returns them."""
        return self._first.output_names

    @property
    def inputs(self) -> Sequence[TensorSpec]:
        """Inputs that `run` requires."""
        return self._first.inputs

    @property
    def outputs(self) -> Sequence[TensorSpec]:
        """Outputs in the order in which `run` returns them."""
        return self._first.outputs

    def run(self, inputs: Mapping[str, Tensor]) -> list[Tensor]:
        """Compute all outputs on one of the devices.

        Raises:
            UnavailableError: all devices are left out.
        """
        self._try_again()
        device = self._take()
        try:
            outputs = device.session.run(inputs)
        except AppError:
            raise
        except Exception as error:
            self._doubt(device, error)
            raise
        finally:
            with self._lock:
                device.running -= 1
        with self._lock:
            device.failures = 0
            if self._known_good is None:
                self._known_good = {name: value.copy() for name, value in inputs.items()}
        return outputs

    def _take(self) -> _Device:
        with self._lock:
            able = [each for each in self._devices if each.retry_at is None]
            if not able:
                raise UnavailableError("All devices of the model have failed.", retry_after=round(PAUSE))
            # Among equally busy devices take the least recently used, so that all warm up.
            device = min(able, key=lambda each: (each.running, each.turn))
            device.running += 1
            device.turn = next(self._turns)
            return device

    def _doubt(self, device: _Device, error: Exception) -> None:
        with self._lock:
            device.failures += 1
            doubtful = device.failures == FAILURES and device.retry_at is None
        if doubtful and not self._computes(device):
            device.retry_at = self._clock() + PAUSE
            log.error("model_session.device_left_out", device=device.number, reason=" ".join(str(error).split()))

    def _try_again(self) -> None:
        now = self._clock()
        with self._lock:
            due = [each for each in self._devices if each.retry_at is not None and each.retry_at <= now]
            for each in due:
                each.retry_at = now + PAUSE
        for each in due:
            if self._computes(each):
                each.retry_at = None
                log.info("model_session.device_back", device=each.number)

    def _computes(self, device: _Device) -> bool:
        """Return whether a device runs the known good batch; if so, reset its failures."""
        try:
            if self._known_good is not None:
                device.session.run(self._known_good)
        except Exception:  # noqa: BLE001 - any failure means that the device is unusable
            return False
        device.failures = 0
        return True
