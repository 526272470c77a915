"""Registered cross-encoders, which can be loaded and unloaded at runtime."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path

from app.errors import ModelNotFoundError
from app.inference.model_opening import open_feature_model
from app.inference.placement import PlaceModel
from app.inference.registration import Registration
from app.inference.served_models import ServedModels
from app.inference.tensor_model import ServedModel
from app.reranking.manifest import TASK, CrossEncoderModel, find_cross_encoders
from app.reranking.reranker import Reranker, open_reranker


class Rerankers:
    """Registry of the open cross-encoders among the served models.

    Args:
        default: NAME or NAME@VERSION of the one for requests that name none; empty means the only one.
    """

    def __init__(self, default: str = "") -> None:
        self.default = default
        self._open: dict[int, Reranker] = {}

    def find_registered(self, place: PlaceModel, folder: Path, name: str | None = None) -> Sequence[Registration]:
        """Find the registered models with the task `rerank`; with `place` bound, implements `FindRegistered`."""
        return [self.register(place, model) for model in find_cross_encoders(folder, name)]

    def register(self, place: PlaceModel, model: CrossEncoderModel) -> Registration:
        """Return the registration of a cross-encoder, which is found here as long as it is open.

        Args:
            place: returns where the model runs, and its batching settings.
            model: the model, with verified files.
        """
        manifest = model.manifest
        return Registration(manifest.name, manifest.version, TASK, manifest, partial(self._serve, place, model))

    def names(self, models: ServedModels) -> list[str]:
        """Return the names of the served cross-encoders, sorted."""
        return sorted({each.name for each in models.all() if id(each) in self._open})

    def find(self, models: ServedModels, named: str) -> ServedModel | None:
        """Return the newest cross-encoder with this name, or the one with this NAME@VERSION, if any.

        Versions of the name with another task are skipped, even if they are newer.
        """
        found = [each for each in models.all() if id(each) in self._open and named in {each.name, each.identity}]
        return found[-1] if found else None

    @contextmanager
    def lease(self, models: ServedModels, named: str) -> Iterator[Reranker]:
        """Find a cross-encoder like `find` and hold it open until the block ends, even if it is replaced.

        Raises:
            ModelNotFoundError: there is no such cross-encoder.
        """
        found = self.find(models, named)
        if found is None:
            names = ", ".join(self.names(models))
            raise ModelNotFoundError(f"There is no such model to rerank with; this service has {names or 'none'}.")
        with models.lease(found.name, found.version):
            yield self._open[id(found)]

    @asynccontextmanager
    async def _serve(self, place: PlaceModel, model: CrossEncoderModel) -> AsyncIterator[ServedModel]:
        manifest = model.manifest
        home = place(manifest.name, manifest.version, model.graph, manifest.providers)
        async with (
            open_reranker(model, home) as reranker,
            open_feature_model(reranker.feature_model(), home.batching) as served,
        ):
            self._open[id(served)] = reranker
            try:
                yield served
            finally:
                del self._open[id(served)]
