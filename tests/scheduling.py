"""A pytest plugin: what is made for a combination, or for the tests of the installation, is made in one process."""

import re

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from template_repository import combinations, name_of

COMBINATIONS = re.compile("|".join(name_of(combination) for combination in combinations()))
INSTALLATION = "tests/installation"


class TogetherScheduling(LoadScopeScheduling):  # type: ignore[misc] # pytest-xdist tells no types
    """Hands out the tests of a folder about one combination as one piece, the largest pieces first."""

    # By name, because pytest 9.2 has taken from pytest-xdist 3.8 the way in which `loadgroup` hears of marks:
    # https://github.com/pytest-dev/pytest-xdist/issues/1386
    def _split_scope(self, nodeid: str) -> str:
        if nodeid.startswith(INSTALLATION):
            return INSTALLATION
        path, _, parameters = nodeid.partition("[")
        about = COMBINATIONS.search(parameters)
        return f"{path.rpartition('/')[0]} {about[0]}" if about else nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> TogetherScheduling:
    """Use it whenever tests are shared between processes."""
    return TogetherScheduling(config, log)
