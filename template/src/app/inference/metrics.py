"""OpenTelemetry metrics of batching; nearly free if no exporter is configured."""

from collections.abc import Callable, Iterable
from weakref import WeakSet

from opentelemetry.metrics import CallbackOptions, Observation, get_meter

from app.observability.buckets import ROWS, SECONDS

_live: "WeakSet[BatchMetrics]" = WeakSet()


class BatchMetrics:
    """Metrics of one model's queue and lanes.

    Args:
        model: the model's name, an attribute of every measurement.
        depth: returns the number of queued items.
    """

    def __init__(self, model: str, depth: Callable[[], int]) -> None:
        self._attributes = {"model": model}
        self._depth = depth
        _live.add(self)

    def ran(self, rows: int, seconds: float, *, failed: bool) -> None:
        """Record a batch with its run time, and whether it failed."""
        _rows.record(rows, self._attributes)
        _runs.record(seconds, self._attributes)
        if failed:
            _failures.add(1, self._attributes)

    def waited(self, seconds: float) -> None:
        """Record how long a submission waited for a lane."""
        _waits.record(seconds, self._attributes)

    def rejected(self, reason: str) -> None:
        """Count a submission that was rejected at once (`overloaded`) or dropped later (`expired`)."""
        _rejections.add(1, self._attributes | {"reason": reason})

    def close(self) -> None:
        """Stop observing the queue of this model."""
        _live.discard(self)

    def observe(self) -> Observation:
        """Return the number of queued items as an observation."""
        return Observation(self._depth(), self._attributes)


def _depths(_: CallbackOptions) -> Iterable[Observation]:
    return [metrics.observe() for metrics in _live]


_meter = get_meter("app.inference")
_rows = _meter.create_histogram(
    "app_batch_rows", description="items that ran together", explicit_bucket_boundaries_advisory=ROWS
)
_runs = _meter.create_histogram(
    "app_batch_seconds", "s", "time that a batch ran", explicit_bucket_boundaries_advisory=SECONDS
)
_waits = _meter.create_histogram(
    "app_queue_wait_seconds",
    "s",
    "time from submission until the first of it ran",
    explicit_bucket_boundaries_advisory=SECONDS,
)
_failures = _meter.create_counter("app_batch_failures", description="batches on which the model failed")
_rejections = _meter.create_counter("app_queue_rejections", description="submissions that could not be done in time")
_meter.create_observable_gauge("app_queue_items", [_depths], description="items that wait")
