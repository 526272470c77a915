"""Every ONNX model that takes tensors from callers: those that are registered, and those that features use."""

import asyncio
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from app.errors import ModelNotFoundError
from app.inference.tensor_model import ServedModel


class ServedModels:
    """Finds models by name and version; without a version, the newest, 10 being newer than 9."""

    def __init__(self) -> None:
        self._models: dict[str, dict[str, ServedModel]] = {}
        self._users: Counter[int] = Counter()
        self._released = asyncio.Event()

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

    @contextmanager
    def lease(self, name: str, version: str | None = None) -> Iterator[ServedModel]:
        """Find a model that stays open until the block ends, even if another takes its place.

        Raises:
            ModelNotFoundError: there is none such.
        """
        model = self.find(name, version)
        self._users[id(model)] += 1
        try:
            yield model
        finally:
            self._users[id(model)] -= 1
            if not self._users[id(model)]:
                del self._users[id(model)]
                self._released.set()

    def versions(self, name: str) -> list[str]:
        """List the versions of a model, the oldest first."""
        return list(self._models.get(name, ()))

    def all(self) -> list[ServedModel]:
        """List every version of every model."""
        return [model for name in sorted(self._models) for model in self._models[name].values()]

    def put(self, model: ServedModel) -> None:
        """Let requests find the model from now on, in place of what had its name and version."""
        versions = self._models.get(model.name, {}) | {model.version: model}
        self._models[model.name] = dict(sorted(versions.items(), key=lambda each: version_order(each[0])))

    def remove(self, model: ServedModel) -> None:
        """Let no request find the model any more, unless another has taken its place."""
        versions = self._models.get(model.name, {})
        if versions.get(model.version) is model:
            del versions[model.version]
        if not versions:
            self._models.pop(model.name, None)

    async def unused(self, model: ServedModel, within: float) -> None:
        """Wait until nobody holds the model, for so many seconds at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                while id(model) in self._users:
                    self._released.clear()
                    await self._released.wait()

    def ping(self) -> None:
        """Pass while every model takes work.

        Raises:
            UnavailableError: the service is going down.
        """
        for model in self.all():
            model.batcher.ping()


def version_order(version: str) -> list[tuple[int, str]]:
    """Return what versions are sorted by, 10 being newer than 9."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", version)]
