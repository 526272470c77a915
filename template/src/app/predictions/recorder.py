"""Records predictions in the background; a failing database delays no answer."""

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

# The most that outputs of one prediction may take as JSON, and that all which wait may take in memory.
MOST_OUTPUT_BYTES = 64_000
MOST_WAITING_BYTES = 16_000_000
# What a row takes beside its outputs.
ROW_BYTES = 1000
# A batch ends with the prediction that reaches one of these: the event loop hands it over in one go.
BATCH = 500
BATCH_BYTES = 500_000
RETRY_SECONDS = 1.0
# Seconds that a stopping process gives what still waits.
GRACE_SECONDS = 10.0

_drops = get_meter("app.predictions").create_counter(
    "app_prediction_drops", description="predictions that were not kept, because too many waited"
)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A prediction waiting to be written.

    Attributes:
        outputs: JSON; None if they are too large.
    """

    owner_id: UUID
    created_at: datetime
    outcome: Outcome
    outputs: bytes | None

    @property
    def size(self) -> int:
        """Bytes that it is counted as."""
        return ROW_BYTES + len(self.outputs or b"")

    def row(self) -> dict[str, Any]:
        """Return it as `repository.add_all` takes it."""
        return {
            "owner_id": self.owner_id,
            "created_at": self.created_at,
            "endpoint": self.outcome.endpoint,
            "model": self.outcome.model,
            "version": self.outcome.version,
            "input_sha256": self.outcome.input_sha256,
            "outputs_json": None if self.outputs is None else self.outputs.decode(),
        }


Save = Callable[[Sequence[Waiting]], Awaitable[None]]


class PredictionRecorder:
    """Queues predictions and writes them in batches.

    Args:
        save: writes a batch; None records nothing.
        most_bytes: the size of the queue; beyond it predictions are dropped and counted.
        retry_seconds: time between two tries while the database cannot be reached.
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
        self._waiting: deque[Waiting] = deque()
        self._bytes = 0
        self._dropped = 0
        self._closing = False
        self._changed = asyncio.Event()

    @property
    def waiting(self) -> int:
        """How many predictions are not saved yet."""
        return len(self._waiting)

    async def record(self, make: Callable[[], Iterable[Outcome]], *, caller: Caller) -> None:
        """Queue the outcomes of a request, if recording is enabled; never raises.

        Args:
            make: makes the outcomes, in a thread: checksums of large inputs take their time.
            caller: who owns them.
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
        """Write what is queued until `close`, then what is left."""
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
        """Let `write` end once the queue is empty."""
        self._closing = True
        self._changed.set()

    def _next_batch(self) -> Sequence[Waiting]:
        batch: list[Waiting] = []
        size = 0
        for each in islice(self._waiting, BATCH):
            batch.append(each)
            size += each.size
            if size >= BATCH_BYTES:
                break
        return batch

    async def _write(self, batch: Sequence[Waiting]) -> None:
        if self._save is None:
            return
        told = False
        while True:
            try:
                await self._save(batch)
            except UnavailableError as error:
                if not told:
                    log.warning("predictions.delayed", reason=error.detail)
                    told = True
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
    """Yield a recorder, which records only if configured; what waits at the end is written first."""
    if not settings.keep:
        yield PredictionRecorder()
        return

    async def save(batch: Sequence[Waiting]) -> None:
        async with database.transaction() as session:
            await repository.add_all(session, [each.row() for each in batch])

    async with writing(PredictionRecorder(save)) as recorder:
        yield recorder


@asynccontextmanager
async def writing(recorder: PredictionRecorder, grace: float = GRACE_SECONDS) -> AsyncIterator[PredictionRecorder]:
    """Run a recorder's writer in the background; at the end it has `grace` seconds to finish."""
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


def _read(make: Callable[[], Iterable[Outcome]], owner_id: UUID) -> list[Waiting]:
    now = datetime.now(UTC)
    return [Waiting(owner_id, now, outcome, _json(outcome.outputs)) for outcome in make()]


def _json(outputs: object) -> bytes | None:
    # PostgreSQL has no NUL in texts, and one must not spoil the batch for the others.
    content = to_json(outputs, inf_nan_mode="null").replace(b"\\u0000", b"\\ufffd")
    return content if len(content) <= MOST_OUTPUT_BYTES else None
