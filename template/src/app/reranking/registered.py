"""The operator's cross-encoders, which may be opened and closed while the service runs."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path

from app.errors import ModelNotFoundError
from app.inference.model_opening import open_resident
from app.inference.placement import PlaceModel
from app.inference.registration import Registration
from app.inference.served_models import ServedModels
from app.inference.tensor_model import ServedModel
from app.reranking.manifest import TASK, CrossEncoderModel, find_cross_encoders
from app.reranking.reranker import Reranker, open_reranker


class Rerankers:
    """Finds the cross-encoders among the served models."""

    def __init__(self) -> None:
        self._open: dict[int, Reranker] = {}

    def find_registered(self, place: PlaceModel, folder: Path, name: str | None = None) -> Sequence[Registration]:
        """Find the registered models whose task is `rerank`, as `FindRegistered` says."""
        return [self.register(place, model) for model in find_cross_encoders(folder, name)]

    def register(self, place: PlaceModel, model: CrossEncoderModel) -> Registration:
        """Say how a cross-encoder is opened, to be found here for as long as it is open.

        Args:
            place: tells where it runs, and how it is shared.
            model: its files are the declared ones.
        """
        manifest = model.manifest
        return Registration(manifest.name, manifest.version, TASK, manifest, partial(self._serve, place, model))

    def names(self, models: ServedModels) -> list[str]:
        """List the names that a cross-encoder is served by."""
        return sorted({each.name for each in models.all() if id(each) in self._open})

    def find(self, models: ServedModels, named: str) -> ServedModel | None:
        """Find the newest cross-encoder of a name, or the one that NAME@VERSION means.

        Versions that are no cross-encoders are passed over, newer ones too.
        """
        found = [each for each in models.all() if id(each) in self._open and named in {each.name, each.identity}]
        return found[-1] if found else None

    @contextmanager
    def lease(self, models: ServedModels, named: str) -> Iterator[Reranker]:
        """Find a cross-encoder as `find` does, which stays open until the block ends, even if another takes its place.

        Raises:
            ModelNotFoundError: there is none such.
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
            open_resident(reranker.resident(), home.batching) as served,
        ):
            self._open[id(served)] = reranker
            try:
                yield served
            finally:
                del self._open[id(served)]
