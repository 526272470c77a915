"""A model that is loaded on several devices: a batch goes where least is under way, and none to a device that fails."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from threading import Lock

import structlog

from app.errors import AppError, UnavailableError
from app.inference.ports import ModelSession, Tensor, TensorSpec

# Failures in a row that cast doubt on a device, and the seconds after which one that is left out is tried again.
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
    """Make one of a model's sessions on devices, by their numbers; what runs on less than the first is left out."""
    first, *_ = sessions.values()
    for device, session in sessions.items():
        if session.provider != first.provider:
            log.error("model_session.device_left_out", device=device, provider=session.provider)
    alike = {number: session for number, session in sessions.items() if session.provider == first.provider}
    return SpreadSession(alike) if len(alike) > 1 else first


class SpreadSession:
    """A model on several devices, by their numbers. Thread-safe.

    A dead device fails at once and would be the one where least is under way. So one that fails several times in a row
    must compute the first batch that any of them computed, which was the start-up's: if it can, the inputs were to
    blame; if not, it gets no batches until it can.
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
        """How many devices there are."""
        return len(self._devices)

    @property
    def provider(self) -> str:
        """The provider of the devices."""
        return self._first.provider

    @property
    def output_names(self) -> list[str]:
        """Names of the outputs, in the order in which `run` returns them."""
        return self._first.output_names

    @property
    def inputs(self) -> Sequence[TensorSpec]:
        """What `run` must be given."""
        return self._first.inputs

    @property
    def outputs(self) -> Sequence[TensorSpec]:
        """What `run` returns, in this order."""
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
            # Of those with as little to do the one whose turn is longest ago, so that each gets warm.
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
        """Tell whether a device computes what one of them has computed; if so, its failures are forgotten."""
        try:
            if self._known_good is not None:
                device.session.run(self._known_good)
        except Exception:  # noqa: BLE001 - whatever is wrong with it
            return False
        device.failures = 0
        return True
