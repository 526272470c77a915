"""Registry of the models served for tensor inference: registered models and those of features."""

import asyncio
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from app.errors import ModelNotFoundError
from app.inference.tensor_model import ServedModel

DEFAULT = "default"
"""Requests name the default model of their task by this, or by no name."""


class ServedModels:
    """Looks up models by name and version; the default is the newest version (10 is newer than 9)."""

    def __init__(self) -> None:
        self._models: dict[str, dict[str, ServedModel]] = {}
        self._users: Counter[int] = Counter()
        self._released = asyncio.Event()

    def find(self, name: str, version: str | None = None) -> ServedModel:
        """Return a model, by default its newest version.

        Raises:
            ModelNotFoundError: there is no such model or version.
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
        """Yield a model and hold it, so that `wait_unused` waits for the block to end even if the model is replaced.

        Raises:
            ModelNotFoundError: there is no such model or version.
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
        """Return the versions of a model, oldest first; empty if there is no such model."""
        return list(self._models.get(name, ()))

    def all(self) -> list[ServedModel]:
        """Return all versions of all models, sorted by name and version."""
        return [model for name in sorted(self._models) for model in self._models[name].values()]

    def put(self, model: ServedModel) -> None:
        """Add a model; it replaces one of the same name and version."""
        versions = self._models.get(model.name, {}) | {model.version: model}
        self._models[model.name] = dict(sorted(versions.items(), key=lambda each: version_order(each[0])))

    def remove(self, model: ServedModel) -> None:
        """Remove a model, unless it has been replaced already."""
        versions = self._models.get(model.name, {})
        if versions.get(model.version) is model:
            del versions[model.version]
        if not versions:
            self._models.pop(model.name, None)

    async def wait_unused(self, model: ServedModel, within: float) -> None:
        """Wait until no lease holds the model, for at most `within` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                while id(model) in self._users:
                    self._released.clear()
                    await self._released.wait()

    def ping(self) -> None:
        """Raise UnavailableError if the service is shutting down or a model is stuck."""
        for model in self.all():
            model.batcher.ping()


def version_order(version: str) -> list[tuple[int, str]]:
    """Return the sort key of a version; numbers compare as numbers, so that 10 is newer than 9."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", version)]
