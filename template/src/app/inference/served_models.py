"""Every ONNX model that takes tensors from callers: those that are registered, and those that features use."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import structlog
from pydantic import BaseModel, ConfigDict, Field

from app.errors import ModelNotFoundError, StartupError
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
from app.inference.ports import ModelSession
from app.inference.resident import Resident
from app.inference.row_trial import sample, try_signature
from app.inference.signature import Signature
from app.inference.tensor_model import ServedModel, open_served_model

log = structlog.get_logger(__name__)

OpenModel = Callable[[Path, int], AbstractAsyncContextManager[ModelSession]]
"""Opens a graph whose runs may use so many threads."""


class ModelsSettings(BaseModel):
    """Where the operator's own models are."""

    model_config = ConfigDict(extra="forbid")

    folder: Path = Field(default=Path("models"), description="has a folder with a model.json for each model")


class ServedModels:
    """Finds models by name and version; without a version, the newest, 10 being newer than 9."""

    def __init__(self, models: Sequence[ServedModel]) -> None:
        self._models: dict[str, dict[str, ServedModel]] = {}
        for model in sorted(models, key=lambda model: version_order(model.version)):
            self._models.setdefault(model.name, {})[model.version] = model

    def find(self, name: str, version: str | None = None) -> ServedModel:
        """Return the model.

        Raises:
            ModelNotFoundError: there is none such.
        """
        versions = self._models.get(name)
        if versions is None:
            raise ModelNotFoundError(f"There is no such model; this service has {', '.join(sorted(self._models))}.")
        if version is None:
            return next(reversed(versions.values()))
        if version not in versions:
            raise ModelNotFoundError(f"The model {name!r} has no such version; it has {', '.join(versions)}.")
        return versions[version]

    def versions(self, name: str) -> list[str]:
        """List the versions of a model, the oldest first."""
        return list(self._models.get(name, ()))

    def ping(self) -> None:
        """Pass while every model takes work.

        Raises:
            UnavailableError: the service is going down.
        """
        for versions in self._models.values():
            for model in versions.values():
                model.batcher.ping()


@asynccontextmanager
async def open_served_models(
    models: Sequence[TensorModel],
    residents: Sequence[Resident],
    batching: BatchingSettings,
    open_model: OpenModel,
    *,
    cores: int = 0,
) -> AsyncIterator[ServedModels]:
    """Open, try, measure and warm registered models, and let residents take tensors.

    Args:
        models: registered models whose files are the declared ones.
        residents: what features have opened.
        batching: how each model is shared.
        open_model: opens a graph.
        cores: what a model's lanes may use together; 0 is every core that this process may use.

    Raises:
        StartupError: a model cannot be opened or run, or two have the same name and version.
    """
    check_names([(each.name, each.version) for each in residents] + [_identity(each) for each in models])
    async with AsyncExitStack() as stack:
        served = [await stack.enter_async_context(_open_resident(each, batching)) for each in residents]
        for each in models:
            opening = _open_registered(each, batching, open_model, cores or available_cores())
            served.append(await stack.enter_async_context(opening))
        yield ServedModels(served)


@asynccontextmanager
async def _open_registered(
    model: TensorModel, batching: BatchingSettings, open_model: OpenModel, cores: int
) -> AsyncIterator[ServedModel]:
    manifest = model.manifest
    name = "@".join(_identity(model))
    open_session = partial(open_model, model.graph)
    async with open_session(cores) as session:
        signature = await try_registered(session, manifest)
    work = tensor_workload(signature, manifest)
    async with open_capacity(batching, open_session, work, cores=cores) as capacity:
        log.info("model.ready", model=name, provider=capacity.sessions[0].provider, by_rows=signature.by_rows)
        async with open_served_model(
            _identity(model), capacity, signature, batching, max_batch=manifest.max_batch
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
async def _open_resident(model: Resident, batching: BatchingSettings) -> AsyncIterator[ServedModel]:
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


def _identity(model: TensorModel) -> tuple[str, str]:
    return model.manifest.name, model.manifest.version


def check_names(identities: Sequence[tuple[str, str]]) -> None:
    """Pass if no two models have the same name and version.

    Raises:
        StartupError: two have.
    """
    for name, version in identities:
        if identities.count((name, version)) > 1:
            raise StartupError(f"Two models are called {name}@{version}: give one another name or version.")


def version_order(version: str) -> list[tuple[int, str]]:
    """Return what versions are sorted by, 10 being newer than 9."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", version)]
