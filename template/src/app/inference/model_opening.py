"""Opening a model so that callers may send it tensors: tried, measured and warm."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import structlog

from app.errors import StartupError
from app.inference.capacity import (
    ASSUMED_SECONDS,
    BatchingSettings,
    Capacity,
    Workload,
    available_cores,
    doubling,
    open_capacity,
)
from app.inference.latency_curve import LatencyCurve
from app.inference.model_folders import TensorManifest, TensorModel
from app.inference.placement import Placement
from app.inference.ports import ModelSession
from app.inference.resident import Resident
from app.inference.row_trial import sample, try_signature
from app.inference.signature import Signature
from app.inference.tensor_model import ServedModel, open_served_model

log = structlog.get_logger(__name__)


@asynccontextmanager
async def open_registered(model: TensorModel, place: Placement) -> AsyncIterator[ServedModel]:
    """Open, try, measure and warm a registered model whose files are the declared ones.

    Raises:
        StartupError: it cannot be opened, or does not run.
    """
    manifest = model.manifest
    name = "@".join(model.identity)
    cores = place.cores or available_cores()
    async with place.open_session(cores) as session:
        signature = await try_registered(session, manifest)
    work = tensor_workload(signature, manifest)
    async with open_capacity(place.batching, place.open_session, work, cores=cores) as capacity:
        log.info("model.ready", model=name, provider=capacity.sessions[0].provider, by_rows=signature.by_rows)
        async with open_served_model(
            model.identity, capacity, signature, place.batching, max_batch=manifest.max_batch
        ) as served:
            yield served


async def try_registered(session: ModelSession, manifest: TensorManifest) -> Signature:
    """Run a registered graph once, and settle what it takes and how it is batched.

    Raises:
        StartupError: it cannot be served as its manifest says.
    """
    signature = Signature.of(session, manifest.max_shape, allow_nonfinite=manifest.allow_nonfinite)
    trial = partial(try_signature, name=f"{manifest.name}@{manifest.version}", rows=manifest.max_batch)
    return await asyncio.to_thread(trial, session, signature, manifest.warm_up)


@asynccontextmanager
async def open_resident(model: Resident, batching: BatchingSettings) -> AsyncIterator[ServedModel]:
    """Let a feature's model take tensors.

    Raises:
        StartupError: it does not run.
    """
    signature = Signature.of(model.session, model.max_shape, allow_nonfinite=False)
    trial = partial(try_signature, name=f"{model.name}@{model.version}", rows=model.max_batch)
    signature = await asyncio.to_thread(trial, model.session, signature, model.warm_up)
    curve = LatencyCurve.assumed(model.max_batch if signature.by_rows else 1, ASSUMED_SECONDS)
    async with open_served_model(
        (model.name, model.version),
        Capacity([model.session], curve),
        signature,
        batching,
        max_batch=model.max_batch,
    ) as served:
        yield served


def tensor_workload(signature: Signature, manifest: TensorManifest) -> Workload:
    """Say what to measure a registered model with: more and more rows, if they run together."""

    def probe(session: ModelSession, rows: int) -> None:
        try:
            session.run(sample(signature, manifest.warm_up, rows if signature.by_rows else None))
        except Exception as error:
            raise StartupError(
                f"The model {manifest.name}@{manifest.version} does not run {rows} rows at once; "
                f"declare a smaller `max_batch`: {error}"
            ) from error

    return Workload(probe, list(doubling(1, manifest.max_batch if signature.by_rows else 1)))
