"""What the meters are told of models that fail."""

import pytest

from tests.chat.chains import Heard, Pair, ask
from tests.chat.service import PROVIDERS, Provider
from tests.meters import Meters

FAILURES = "app_language_model_failures"
CIRCUITS = "app_circuit_open"


@pytest.mark.parametrize("kind", PROVIDERS)
async def test_a_failure_is_counted_by_model_and_code_and_the_circuit_is_shown(
    pair: Pair, kind: Provider, meters: Meters
) -> None:
    first, other = (frozenset({("model", name)}) for name in ("first:status-500", "other:steady"))
    failed = first | {("code", "unavailable")}
    settings = pair.chain(kind, "status-500", "steady")
    settings.providers["first"].first_token_timeout = 60  # a slow machine must not make it another failure
    async with pair.open(settings) as model:
        await ask(model, Heard())
        told = meters.read()
        assert told[FAILURES] == {failed: 1}
        assert (told[CIRCUITS][first], told[CIRCUITS][other]) == (0, 0)
        await ask(model, Heard())
        told = meters.read()
        assert (told[FAILURES], told[CIRCUITS][first]) == ({failed: 1}, 1)
        await ask(model, Heard())
        told = meters.read()
        assert (told.get(FAILURES, {}), told[CIRCUITS][first]) == ({}, 1)
    assert pair.calls == (2, 3)
