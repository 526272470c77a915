"""Open models for tensor inference: try, measure and warm them up."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from functools import partial
from pathlib import Path

import structlog

from app.errors import StartupError
from app.inference.batchability import sample, try_signature
from app.inference.capacity import (
    ASSUMED_SECONDS,
    BatchingSettings,
    Capacity,
    Workload,
    available_cores,
    doubling,
    open_capacity,
)
from app.inference.feature_model import FeatureModel
from app.inference.latency_curve import LatencyCurve
from app.inference.model_folders import TensorManifest, TensorModel, find_tensor_models
from app.inference.placement import Placement, PlaceModel
from app.inference.ports import ModelSession
from app.inference.registration import Registration
from app.inference.signature import Signature
from app.inference.tensor_model import ServedModel, open_served_model

log = structlog.get_logger(__name__)

Attach = Callable[[TensorModel, ServedModel], AbstractAsyncContextManager[None]]
"""Opens what a feature adds to a tensor model, before the model is served; closed with the model."""


def attach_nothing(_model: TensorModel, _served: ServedModel) -> AbstractAsyncContextManager[None]:
    """Add nothing to a tensor model."""
    return nullcontext()


def find_registered_tensors(
    place: PlaceModel, attach: Attach, folder: Path, name: str | None = None
) -> Sequence[Registration]:
    """Find the registered models with the task `tensors`; implements `FindRegistered`."""
    return [register_tensors(place, attach, model) for model in find_tensor_models(folder, name)]


def register_tensors(place: PlaceModel, attach: Attach, model: TensorModel) -> Registration:
    """Return the registration of a tensor model.

    Args:
        place: returns where the model runs.
        attach: opens what a feature adds to it.
        model: the model, with verified files.
    """
    manifest = model.manifest
    return Registration(
        manifest.name, manifest.version, manifest.task, manifest, partial(_open_attached, place, attach, model)
    )


@asynccontextmanager
async def _open_attached(place: PlaceModel, attach: Attach, model: TensorModel) -> AsyncIterator[ServedModel]:
    home = place(*model.identity, model.graph, model.manifest.providers)
    async with open_registered(model, home) as served, attach(model, served):
        yield served


@asynccontextmanager
async def open_registered(model: TensorModel, place: Placement) -> AsyncIterator[ServedModel]:
    """Open, try, measure and warm up a registered model.

    Raises:
        StartupError: the model cannot be opened or does not run.
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
    """Run a registered graph once and return its signature, including whether rows can be batched.

    Raises:
        StartupError: the graph does not run, or does not fit its manifest.
    """
    signature = Signature.of(session, manifest.max_shape, allow_nonfinite=manifest.allow_nonfinite)
    trial = partial(try_signature, name=f"{manifest.name}@{manifest.version}", rows=manifest.max_batch)
    return await asyncio.to_thread(trial, session, signature, manifest.warm_up)


@asynccontextmanager
async def open_feature_model(model: FeatureModel, batching: BatchingSettings) -> AsyncIterator[ServedModel]:
    """Open a feature's model for tensor inference, without measuring it.

    Raises:
        StartupError: the model does not run.
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
    """Return the workload for measuring a registered model: growing batches, or single requests without batching."""

    def probe(session: ModelSession, rows: int) -> None:
        try:
            session.run(sample(signature, manifest.warm_up, rows if signature.by_rows else None))
        except Exception as error:
            raise StartupError(
                f"The model {manifest.name}@{manifest.version} does not run {rows} rows at once; "
                f"declare a smaller `max_batch`: {error}"
            ) from error

    return Workload(probe, list(doubling(1, manifest.max_batch if signature.by_rows else 1)))
