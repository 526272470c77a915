"""Recording predictions in the background, so that a failing database does not delay responses."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any
from uuid import UUID

import structlog
from opentelemetry.metrics import get_meter
from pydantic_core import to_json

from app.auth.caller import Caller
from app.database import Database
from app.errors import UnavailableError
from app.predictions import repository
from app.predictions.outcome import Outcome
from app.predictions.settings import PredictionsSettings

log = structlog.get_logger(__name__)

# Limits for the JSON of one prediction's outputs, and for the queue in memory.
MOST_OUTPUT_BYTES = 64_000
MOST_WAITING_BYTES = 16_000_000
# Estimated size of a row without its outputs.
ROW_BYTES = 1000
# A batch ends with the prediction that reaches one of these limits, because passing it on blocks the event loop.
BATCH = 500
BATCH_BYTES = 500_000
RETRY_SECONDS = 1.0
# Time to write the queue on shutdown.
GRACE_SECONDS = 10.0

_drops = get_meter("app.predictions").create_counter(
    "app_prediction_drops", description="predictions that were not kept, because too many waited"
)


@dataclass(frozen=True, slots=True)
class QueuedPrediction:
    """A queued prediction.

    Attributes:
        outputs: JSON; None if the outputs are too large to record.
    """

    owner_id: UUID
    created_at: datetime
    outcome: Outcome
    outputs: bytes | None

    @property
    def size(self) -> int:
        """Estimated size in bytes, for the limits."""
        return ROW_BYTES + len(self.outputs or b"")

    def row(self) -> dict[str, Any]:
        """Return the row for `repository.add_all`."""
        return {
            "owner_id": self.owner_id,
            "created_at": self.created_at,
            "endpoint": self.outcome.endpoint,
            "model": self.outcome.model,
            "version": self.outcome.version,
            "input_sha256": self.outcome.input_sha256,
            "outputs_json": None if self.outputs is None else self.outputs.decode(),
        }


Save = Callable[[Sequence[QueuedPrediction]], Awaitable[None]]


class PredictionRecorder:
    """Queue predictions and write them in batches.

    Args:
        save: writes a batch; None disables recording.
        most_bytes: size limit of the queue; predictions beyond it are dropped and counted.
        retry_seconds: time between retries while the database is unavailable.
    """

    def __init__(
        self,
        save: Save | None = None,
        *,
        most_bytes: int = MOST_WAITING_BYTES,
        retry_seconds: float = RETRY_SECONDS,
    ) -> None:
        self._save = save
        self._most_bytes = most_bytes
        self._retry_seconds = retry_seconds
        self._waiting: deque[QueuedPrediction] = deque()
        self._bytes = 0
        self._dropped = 0
        self._closing = False
        self._changed = asyncio.Event()

    @property
    def waiting(self) -> int:
        """Number of predictions that are not saved yet."""
        return len(self._waiting)

    async def record(self, make: Callable[[], Iterable[Outcome]], *, caller: Caller) -> None:
        """Queue the outcomes of a request, if recording is enabled; never raises.

        Args:
            make: returns the outcomes; called in a thread, because checksums of large inputs take time.
            caller: owner of the predictions.
        """
        if self._save is None:
            return
        try:
            made = await asyncio.to_thread(_read, make, caller.id)
        except Exception:
            log.exception("predictions.lost")
            return
        size = sum(each.size for each in made)
        if self._bytes + size > self._most_bytes:
            self._drop(len(made))
            return
        self._waiting.extend(made)
        self._bytes += size
        self._changed.set()

    async def write(self) -> None:
        """Write queued predictions until `close` has been called and the queue is empty."""
        while not self._closing or self._waiting:
            if not self._waiting:
                self._changed.clear()
                await self._changed.wait()
                continue
            batch = self._next_batch()
            await self._write(batch)
            for each in batch:
                self._waiting.popleft()
                self._bytes -= each.size
            if self._dropped and not self._waiting:
                log.warning("predictions.dropped", predictions=self._dropped)
                self._dropped = 0

    def close(self) -> None:
        """Make `write` return once the queue is empty."""
        self._closing = True
        self._changed.set()

    def _next_batch(self) -> Sequence[QueuedPrediction]:
        batch: list[QueuedPrediction] = []
        size = 0
        for each in islice(self._waiting, BATCH):
            batch.append(each)
            size += each.size
            if size >= BATCH_BYTES:
                break
        return batch

    async def _write(self, batch: Sequence[QueuedPrediction]) -> None:
        if self._save is None:
            return
        warned = False
        while True:
            try:
                await self._save(batch)
            except UnavailableError as error:
                if not warned:
                    log.warning("predictions.delayed", reason=error.detail)
                    warned = True
                await asyncio.sleep(self._retry_seconds)
            except Exception:
                log.exception("predictions.lost", predictions=len(batch))
                return
            else:
                return

    def _drop(self, count: int) -> None:
        if not self._dropped:
            log.warning("predictions.dropping", waiting=len(self._waiting))
        self._dropped += count
        _drops.add(count)


@asynccontextmanager
async def open_recorder(settings: PredictionsSettings, database: Database) -> AsyncIterator[PredictionRecorder]:
    """Yield a recorder, which records only if `keep` is set; on exit the queue is written first."""
    if not settings.keep:
        yield PredictionRecorder()
        return

    async def save(batch: Sequence[QueuedPrediction]) -> None:
        async with database.transaction() as session:
            await repository.add_all(session, [each.row() for each in batch])

    async with writing(PredictionRecorder(save)) as recorder:
        yield recorder


@asynccontextmanager
async def writing(recorder: PredictionRecorder, grace: float = GRACE_SECONDS) -> AsyncIterator[PredictionRecorder]:
    """Run a recorder's writer in the background; on exit it has `grace` seconds to finish."""
    task = asyncio.create_task(recorder.write())
    try:
        yield recorder
    finally:
        recorder.close()
        try:
            async with asyncio.timeout(grace):
                await task
        except TimeoutError:
            log.error("predictions.lost", predictions=recorder.waiting)  # noqa: TRY400 - the time says it all


def _read(make: Callable[[], Iterable[Outcome]], owner_id: UUID) -> list[QueuedPrediction]:
    now = datetime.now(UTC)
    return [QueuedPrediction(owner_id, now, outcome, _json(outcome.outputs)) for outcome in make()]


def _json(outputs: object) -> bytes | None:
    # PostgreSQL rejects NUL characters, and one prediction must not fail the batch.
    content = to_json(outputs, inf_nan_mode="null").replace(b"\\u0000", b"\\ufffd")
    return content if len(content) <= MOST_OUTPUT_BYTES else None
