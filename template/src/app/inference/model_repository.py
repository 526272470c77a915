"""Repository of registered models, which are loaded and unloaded at runtime without failing requests."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog

from app.errors import ConflictError, ModelNotFoundError, StartupError
from app.inference.capacity import BatchingSettings
from app.inference.feature_model import FeatureModel
from app.inference.model_folders import check_identities, list_registered
from app.inference.model_opening import open_feature_model
from app.inference.registration import FindRegistered, Registration
from app.inference.served_models import ServedModels
from app.inference.tensor_model import ServedModel

log = structlog.get_logger(__name__)

Identity = tuple[str, str]

CheckChange = Callable[[str, Sequence[Registration]], None]
"""Checks the versions that a model name is to have; raises ConflictError if a feature needs another."""


def allow_any(_name: str, _models: Sequence[Registration]) -> None:
    """Accept every change."""


@dataclass(frozen=True, slots=True)
class _Open:
    registered: Registration
    served: ServedModel
    stack: AsyncExitStack


class ModelRepository:
    """Loads and unloads registered models, one model name at a time.

    Versions of one name may have different tasks. If a version's task changes, the feature that used it continues with
    other versions of the name that have the feature's task.

    Args:
        folder: the folder of registered models.
        served: registry in which requests look up models.
        finders: find registered models, one finder per task.
        check: may reject a change.
        grace: seconds that running requests have when their model is retired.
        fixed: names of models that features own; they cannot be replaced or unloaded.
    """

    def __init__(  # noqa: PLR0913 - what a repository knows
        self,
        folder: Path,
        served: ServedModels,
        finders: Sequence[FindRegistered],
        check: CheckChange,
        *,
        grace: float,
        fixed: frozenset[str],
    ) -> None:
        self.served = served
        self._folder = folder
        self._finders = finders
        self._check = check
        self._grace = grace
        self._fixed = fixed
        self._open: dict[Identity, _Open] = {}
        self._turn = asyncio.Lock()

    def registered(self) -> list[ServedModel]:
        """Return the registered models that are loaded."""
        return [each.served for _, each in sorted(self._open.items())]

    async def index(self) -> Mapping[Identity, bool]:
        """Return for every model, by name and version, whether it is served.

        Raises:
            ConflictError: the models folder does not exist.
        """
        with _refused():
            known = dict.fromkeys(await asyncio.to_thread(list_registered, self._folder), False)
        return known | {(model.name, model.version): True for model in self.served.all()}

    async def load(self, name: str) -> None:
        """Serve the versions of a model that are on disk: open new and changed ones, then retire the others.

        If a version is invalid or does not run, nothing changes. Otherwise new requests use the new versions at once;
        running requests finish on the old ones, within the grace period.

        Raises:
            ConflictError: the model cannot be served, or a feature needs what it would replace.
            ModelNotFoundError: no folder has this model.
        """
        async with self._turn:
            with _refused():
                found = await asyncio.to_thread(find_registered, self._finders, self._folder, name)
                check_identities([model.identity for model in found])
            if not found:
                raise ModelNotFoundError(f"No folder has a model {name!r}.")
            self._check_not_fixed(name)
            self._check(name, found)
            with _refused():
                await self.replace(name, found)

    async def unload(self, name: str) -> None:
        """Stop serving a model, in all versions; running requests may finish within the grace period.

        Raises:
            ConflictError: a feature needs the model.
            ModelNotFoundError: the model is not loaded.
        """
        async with self._turn:
            self._check_not_fixed(name)
            if not any(name == each for each, _ in self._open):
                raise ModelNotFoundError(f"The model {name!r} is not loaded.")
            self._check(name, [])
            await self.replace(name, [])

    async def replace(self, name: str, models: Sequence[Registration]) -> None:
        """Serve these versions of a model instead of the present ones; unchanged versions stay open.

        Raises:
            StartupError: a version cannot be opened or does not run; nothing has changed.
        """
        wanted = {model.identity: model for model in models}
        mine = {identity: each for identity, each in self._open.items() if identity[0] == name}
        kept = {at for at, each in mine.items() if at in wanted and each.registered.manifest == wanted[at].manifest}
        fresh = await self._open_all([model for at, model in wanted.items() if at not in kept])
        retired = [each for at, each in mine.items() if at not in kept]
        for each in fresh:
            self.served.put(each.served)
        for each in retired:
            del self._open[each.registered.identity]
            self.served.remove(each.served)
        self._open |= {each.registered.identity: each for each in fresh}
        await asyncio.gather(*map(self._retire, retired))

    async def close(self) -> None:
        """Close every registered model; queued work may finish within the grace period."""
        await asyncio.gather(*(each.stack.aclose() for each in self._open.values()))

    async def _open_all(self, models: Sequence[Registration]) -> list[_Open]:
        opened: list[_Open] = []
        stacks: list[AsyncExitStack] = []
        try:
            for model in models:
                stacks.append(stack := AsyncExitStack())
                opened.append(_Open(model, await stack.enter_async_context(model.open()), stack))
        except BaseException:
            for each in stacks:
                await each.aclose()
            raise
        return opened

    async def _retire(self, model: _Open) -> None:
        try:
            await self.served.wait_unused(model.served, self._grace)
        finally:
            await model.stack.aclose()
        log.info("model.retired", model=model.served.identity)

    def _check_not_fixed(self, name: str) -> None:
        if name in self._fixed:
            raise ConflictError(f"The service needs the model {name!r} for itself: change it by a restart.")


def find_registered(finders: Sequence[FindRegistered], folder: Path, name: str | None = None) -> list[Registration]:
    """Return the registered models of all tasks below a folder; raises what the finders raise."""
    return [model for find in finders for model in find(folder, name)]


@contextmanager
def _refused() -> Iterator[None]:
    try:
        yield
    except StartupError as error:
        raise ConflictError(error.detail) from error


@asynccontextmanager
async def open_model_repository(  # noqa: PLR0913 - what a repository knows
    folder: Path,
    registered: Sequence[Registration],
    feature_models: Sequence[FeatureModel],
    batching: BatchingSettings,
    *,
    finders: Sequence[FindRegistered] = (),
    check: CheckChange = allow_any,
) -> AsyncIterator[ModelRepository]:
    """Open the repository with the given models; on exit all are closed.

    Args:
        folder: the folder of registered models, also of those that are loaded later.
        registered: the models to open now.
        feature_models: models that features have opened, served for tensor inference too.
        batching: settings for batching `feature_models`, and for the grace period.
        finders: find models that are loaded later, one finder per task.
        check: may reject a change.

    Raises:
        StartupError: a model cannot be opened or does not run, or two have the same name and version.
    """
    check_identities([(each.name, each.version) for each in feature_models] + [each.identity for each in registered])
    served = ServedModels()
    fixed = frozenset(each.name for each in feature_models)
    async with AsyncExitStack() as stack:
        for feature_model in feature_models:
            served.put(await stack.enter_async_context(open_feature_model(feature_model, batching)))
        repository = ModelRepository(folder, served, finders, check, grace=batching.shutdown_grace, fixed=fixed)
        stack.push_async_callback(repository.close)
        for name in dict.fromkeys(each.name for each in registered):
            await repository.replace(name, [each for each in registered if each.name == name])
        yield repository
