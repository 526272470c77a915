"""The prompt service: operators write and activate versions, all callers can use them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from app.auth.caller import Caller, Scope
from app.database import Database
from app.errors import ConflictError, NotFoundError, UnprocessableError
from app.pages import PageRequest
from app.prompts import repository
from app.prompts.models import Prompt, PromptState
from app.prompts.templates import check_variables, fill

LONGEST_FILLED = 32_000  # characters


@dataclass(frozen=True, slots=True)
class PromptChoice:
    """The prompt to use and its variables; the active version unless one is given."""

    name: str
    version: int | None = None
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FilledPrompt:
    """A prompt with its variables filled in, and its name and version."""

    name: str
    version: int
    text: str


@dataclass(frozen=True, slots=True)
class PromptService:
    """Stores prompts and fills in their variables.

    Attributes:
        unasked: names of prompts that the service itself uses if they are active; they must have no variables.
    """

    database: Database
    unasked: Collection[str] = ()

    async def create(
        self, name: str, text: str, variables: Collection[str], *, idempotency_key: str | None = None, caller: Caller
    ) -> Prompt:
        """Store the next version of a prompt as a draft; a repeated idempotency key returns the first one.

        Raises:
            UnprocessableError: the template is invalid, or its variables differ from the declared ones.
        """
        caller.require(Scope.PROMPTS_WRITE)
        check_variables(text, variables)
        values = {"name": name, "text": text, "variables": sorted(variables), "author_id": caller.id}
        async with self.database.transaction() as session:
            await repository.lock(session, name)
            added = await repository.add(session, values | {"idempotency_key": idempotency_key})
            if added is None and idempotency_key is not None:
                added = await repository.find_by_idempotency_key(session, caller.id, idempotency_key)
        return _found(added)

    async def get(self, name: str, version: int, *, caller: Caller) -> Prompt:
        """Return a version of a prompt.

        Raises:
            NotFoundError: there is no such version.
        """
        _require_reader(caller)
        async with self.database.transaction() as session:
            return _found(await repository.find(session, name, version))

    async def list_all(
        self, page: PageRequest, *, name: str | None = None, caller: Caller
    ) -> tuple[list[Prompt], str | None]:
        """List versions, of one prompt or of all, newest first."""
        _require_reader(caller)
        async with self.database.transaction() as session:
            return await repository.list_all(session, name, page)

    async def activate(self, name: str, version: int, *, caller: Caller) -> Prompt:
        """Activate a version and retire the previous one; activating an older version rolls back.

        Raises:
            NotFoundError: there is no such version.
            ConflictError: it has variables, but the service uses this prompt without any.
        """
        caller.require(Scope.PROMPTS_WRITE)
        async with self.database.transaction() as session:
            await repository.lock(session, name)
            prompt = _found(await repository.find(session, name, version))
            if prompt.variables and name in self.unasked:
                raise ConflictError(f"The service uses the prompt {name} without variables; this version has some.")
            await repository.retire_active(session, name)
            return _found(await repository.change_state(session, name, version, PromptState.ACTIVE))

    async def retire(self, name: str, version: int, *, caller: Caller) -> Prompt:
        """Retire a version; it can still be requested explicitly.

        Raises:
            NotFoundError: there is no such version.
        """
        caller.require(Scope.PROMPTS_WRITE)
        async with self.database.transaction() as session:
            await repository.lock(session, name)
            return _found(await repository.change_state(session, name, version, PromptState.RETIRED))

    async def fill(self, choice: PromptChoice, *, caller: Caller) -> FilledPrompt:
        """Return a prompt with its variables filled in. The caller's scopes must have been checked.

        Raises:
            NotFoundError: there is no such version, or none that is active.
            ConflictError: the version is a draft, and the caller may not write prompts.
            UnprocessableError: a variable is missing or unknown, or the result is too long.
        """
        async with self.database.transaction() as session:
            if choice.version is None:
                prompt = await repository.find_active(session, choice.name)
            else:
                prompt = await repository.find(session, choice.name, choice.version)
        prompt = _found(prompt)
        if prompt.state == PromptState.DRAFT and Scope.PROMPTS_WRITE not in caller.scopes:
            raise ConflictError("This version of the prompt is a draft; it cannot be used yet.")
        text = fill(prompt.text, choice.variables)
        if len(text) > LONGEST_FILLED:
            raise UnprocessableError(f"The prompt has more than {LONGEST_FILLED} characters with these values.")
        return FilledPrompt(prompt.name, prompt.version, text)

    async def find_active(self, name: str) -> FilledPrompt | None:
        """Return the active version of a prompt that the service itself uses, or None."""
        async with self.database.transaction() as session:
            prompt = await repository.find_active(session, name)
        return None if prompt is None else FilledPrompt(prompt.name, prompt.version, fill(prompt.text, {}))


def _require_reader(caller: Caller) -> None:
    if Scope.PROMPTS_WRITE not in caller.scopes:
        caller.require(Scope.CHAT)


def _found(prompt: Prompt | None) -> Prompt:
    if prompt is None:
        raise NotFoundError("There is no such prompt, or it has no active version.")
    return prompt
