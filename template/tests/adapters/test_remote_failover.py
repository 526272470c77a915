"""Tests of failover between model servers, and of when a failed server is tried again."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack

import numpy as np
import pytest

from app.adapters.remote_inference import RemoteInference
from app.errors import OutOfMemoryError, RequestRefusedError, UnavailableError, UpstreamError, UpstreamFailedError
from tests.adapters.fake_model_server import FakeModelServer, serve_fake_model
from tests.adapters.remote_models import X, opened, run

HOSTILE = [
    "mute",
    "drips",
    "cuts",
    "truncated",
    "huge",
    "endless",
    "garbled",
    "wrong-shape",
    "wrong-type",
    "wrong-name",
    "wrong-version",
    "text",
    "negative",
    "loose",
    "status-429",
    "status-502",
    "status-503",
    "status-504",
]


@pytest.fixture
def servers() -> Iterator[list[FakeModelServer]]:
    """Run two servers with the same model."""
    with ExitStack() as stack:
        yield [stack.enter_context(serve_fake_model()) for _ in range(2)]


@pytest.mark.parametrize("mood", HOSTILE)
async def test_a_server_that_fails_is_passed_over_and_used_again_when_it_is_well(
    servers: list[FakeModelServer], mood: str
) -> None:
    bad, good = servers
    async with opened(bad.url, good.url) as (_, session):
        bad.mood = mood
        [y] = await run(session)
        np.testing.assert_array_equal(y, 2 * X + 1)
        assert good.inferences() == 1
        bad.mood = "well"
        async with asyncio.timeout(20):
            while session.provider != f"remote:{bad.host}":
                await run(session)


@pytest.mark.parametrize("mood", HOSTILE)
async def test_where_every_server_fails_callers_are_told_when_to_come_back(
    servers: list[FakeModelServer], mood: str
) -> None:
    async with opened(servers[0].url) as (_, session):
        servers[0].mood = mood
        with pytest.raises(UnavailableError) as caught:
            await run(session)
        assert int(caught.value.headers["Retry-After"]) >= 1
        assert "127.0.0.1" not in caught.value.detail


async def test_a_server_that_keeps_failing_is_left_alone_for_longer_and_longer(servers: list[FakeModelServer]) -> None:
    async with opened(servers[0].url, max_pause=60) as (remote, session):
        servers[0].mood = "status-503"
        for _ in range(20):
            with pytest.raises(UnavailableError) as caught:
                await run(session)
        # It asked for a pause of 7 seconds and was left alone.
        assert servers[0].inferences() == 1
        assert caught.value.retry_after in {6, 7}
        with pytest.raises(UnavailableError):
            await remote.ping()


async def answers(remote: RemoteInference) -> bool:
    try:
        await remote.ping()
    except UnavailableError:
        return False
    return True


async def test_the_service_finds_out_by_itself_that_a_server_is_back(servers: list[FakeModelServer]) -> None:
    async with opened(servers[0].url) as (remote, session):
        await remote.ping()
        servers[0].mood = "status-503"
        with pytest.raises(UnavailableError):
            await run(session)
        with pytest.raises(UnavailableError):
            await remote.ping()
        servers[0].mood = "well"
        async with asyncio.timeout(20):
            while not await answers(remote):
                await asyncio.sleep(0.02)
        assert len(await run(session)) == 1


@pytest.mark.parametrize(
    ("mood", "error"),
    [
        ("status-400", RequestRefusedError),
        ("status-413", RequestRefusedError),
        ("status-401", UpstreamFailedError),
        ("status-404", UpstreamFailedError),
        ("status-307", UpstreamFailedError),
    ],
)
async def test_a_request_that_is_refused_is_not_sent_elsewhere(
    servers: list[FakeModelServer], mood: str, error: type[UpstreamError]
) -> None:
    async with opened(*(each.url for each in servers)) as (remote, session):
        servers[0].mood = mood
        with pytest.raises(UpstreamError) as caught:
            await run(session)
        assert type(caught.value) is error
        assert "127.0.0.1" not in caught.value.detail
        assert servers[1].inferences() == 0
        assert await answers(remote)
        servers[0].mood = "well"
        await run(session)
        assert servers[0].inferences() == 2
        assert "GET /v2/health/ready" not in servers[0].calls


async def test_a_request_that_a_server_has_no_memory_for_may_go_elsewhere_and_others_are_served(
    servers: list[FakeModelServer],
) -> None:
    async with opened(*(each.url for each in servers), max_pause=60) as (remote, session):
        servers[0].mood = "no-memory"
        await run(session)
        assert session.provider == f"remote:{servers[1].host}"
        servers[1].mood = "no-memory"
        with pytest.raises(OutOfMemoryError) as caught:
            await run(session)
        assert int(caught.value.headers["Retry-After"]) >= 1
        assert await answers(remote)
        servers[0].mood = "well"
        await run(session)
        assert session.provider == f"remote:{servers[0].host}"


async def test_a_server_that_is_too_busy_for_one_model_is_asked_for_another(servers: list[FakeModelServer]) -> None:
    models = {"affine": "affine", "busy": "busy"}
    async with opened(servers[0].url, models=models, max_pause=60) as (remote, session):
        open_session = remote.find("busy", "1")
        assert open_session is not None
        async with open_session(1) as other:
            servers[0].mood = "status-503"
            with pytest.raises(UnavailableError):
                await run(other)
            servers[0].mood = "well"
            await run(session)
            assert not await answers(remote)
        assert await answers(remote)


async def test_a_body_that_a_server_takes_for_too_large_is_told_as_such(servers: list[FakeModelServer]) -> None:
    async with opened(servers[0].url) as (_, session):
        servers[0].mood = "status-413"
        with pytest.raises(RequestRefusedError, match=r"no batch as large as this \(413\)"):
            await run(session)


async def test_a_request_on_which_every_server_fails_is_to_blame_itself(servers: list[FakeModelServer]) -> None:
    async with opened(*(each.url for each in servers)) as (_, session):
        servers[0].mood = "status-500"
        await run(session)
        servers[1].mood = "status-500"
        with pytest.raises(RequestRefusedError):
            await run(session)
        servers[0].mood = servers[1].mood = "well"
        await run(session)
        assert [each.inferences() for each in servers] == [3, 2]
