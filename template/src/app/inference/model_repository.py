"""Registered models, opened and closed while the service runs, so that no request is lost."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog

from app.errors import ConflictError, ModelNotFoundError, StartupError
from app.inference.capacity import BatchingSettings
from app.inference.model_folders import check_identities, list_registered
from app.inference.model_opening import open_resident
from app.inference.registration import FindRegistered, Registration
from app.inference.resident import Resident
from app.inference.served_models import ServedModels
from app.inference.tensor_model import ServedModel

log = structlog.get_logger(__name__)

Identity = tuple[str, str]

CheckChange = Callable[[str, Sequence[Registration]], None]
"""Passes if a model may have these versions from now on; raises ConflictError if a feature needs another."""


def allow_any(_name: str, _models: Sequence[Registration]) -> None:
    """Let every change pass."""


@dataclass(frozen=True, slots=True)
class _Open:
    registered: Registration
    served: ServedModel
    stack: AsyncExitStack


class ModelRepository:
    """Makes what is served what the folder says, one model name at a time.

    Versions of one name may have different tasks. A version whose task changes is another model from then on: the
    feature that used it finds it no more, and goes on with other versions of the name, if those have its task.

    Args:
        folder: holds the registered models.
        served: where requests find models.
        finders: find what is registered, one for each task.
        check: may refuse a change.
        grace: seconds for requests that a model has when it is retired.
        fixed: names of models that features need for themselves.
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
        """List the registered models that are open."""
        return [each.served for _, each in sorted(self._open.items())]

    async def index(self) -> Mapping[Identity, bool]:
        """Tell of every model, by name and version, whether it is served.

        Raises:
            ConflictError: a manifest cannot be read.
        """
        with _refused():
            known = dict.fromkeys(await asyncio.to_thread(list_registered, self._folder), False)
        return known | {(model.name, model.version): True for model in self.served.all()}

    async def load(self, name: str) -> None:
        """Serve the versions of a model that its folders hold: new and changed ones are opened beside what is served.

        What is not as its manifest says, or does not run, changes nothing. Otherwise requests find the new versions at
        once, and those that hold an old one may finish.

        Raises:
            ConflictError: it cannot be served, or a feature needs what it would replace; it says why.
            ModelNotFoundError: no folder has it.
        """
        async with self._turn:
            with _refused():
                found = await asyncio.to_thread(find_registered, self._finders, self._folder, name)
                check_identities([model.identity for model in found])
            if not found:
                raise ModelNotFoundError(f"No folder has a model {name!r}.")
            self._check_loose(name)
            self._check(name, found)
            with _refused():
                await self.replace(name, found)

    async def unload(self, name: str) -> None:
        """Serve no version of a model any more; requests that hold one may finish.

        Raises:
            ConflictError: a feature needs it.
            ModelNotFoundError: it is not served.
        """
        async with self._turn:
            self._check_loose(name)
            if not any(name == each for each, _ in self._open):
                raise ModelNotFoundError(f"The model {name!r} is not loaded.")
            self._check(name, [])
            await self.replace(name, [])

    async def replace(self, name: str, models: Sequence[Registration]) -> None:
        """Serve these versions of a model in place of those that were.

        Raises:
            StartupError: one cannot be opened or run; nothing has changed.
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
        """Close every registered model; what is queued may finish."""
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
            await self.served.unused(model.served, self._grace)
        finally:
            await model.stack.aclose()
        log.info("model.retired", model=model.served.identity)

    def _check_loose(self, name: str) -> None:
        if name in self._fixed:
            raise ConflictError(f"The service needs the model {name!r} for itself: change it by a restart.")


def find_registered(finders: Sequence[FindRegistered], folder: Path, name: str | None = None) -> list[Registration]:
    """Find what is registered below a folder, for whatever task; raises what the finders raise."""
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
    residents: Sequence[Resident],
    batching: BatchingSettings,
    *,
    finders: Sequence[FindRegistered] = (),
    check: CheckChange = allow_any,
) -> AsyncIterator[ModelRepository]:
    """Open, try, measure and warm registered models, and let residents take tensors.

    Args:
        folder: holds registered models, those to come, too.
        registered: what is opened now.
        residents: what features have opened.
        batching: how residents are shared.
        finders: find what is registered later, one for each task.
        check: may refuse a change.

    Raises:
        StartupError: a model cannot be opened or run, or two have the same name and version.
    """
    check_identities([(each.name, each.version) for each in residents] + [each.identity for each in registered])
    served = ServedModels()
    fixed = frozenset(each.name for each in residents)
    async with AsyncExitStack() as stack:
        for resident in residents:
            served.put(await stack.enter_async_context(open_resident(resident, batching)))
        repository = ModelRepository(folder, served, finders, check, grace=batching.shutdown_grace, fixed=fixed)
        stack.push_async_callback(repository.close)
        for name in dict.fromkeys(each.name for each in registered):
            await repository.replace(name, [each for each in registered if each.name == name])
        yield repository
