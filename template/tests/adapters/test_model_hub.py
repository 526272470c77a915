"""Tests of model downloads from a real server that shows one fault after the other."""

import fcntl
import hashlib
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.adapters.model_hub import HubFile, pull
from app.errors import (
    ConflictError,
    ForbiddenError,
    NotFoundError,
    UnavailableError,
    UnprocessableError,
    UpstreamFailedError,
)
from tests.adapters.hub_server import Hub, open_hub

CONTENT = hashlib.shake_128(b"a graph").digest(3_000_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub() -> Iterator[Hub]:
    with open_hub(Hub(CONTENT)) as opened:
        yield opened


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "models" / "churn" / "model.onnx"


def fetch(hub: Hub, target: Path, *, token: str | None = None, force: bool = False) -> bool:
    file = HubFile(hub.endpoint, "acme/churn", COMMIT, "onnx/model 1.onnx", SHA256)
    return pull(file, target, token=token, force=force, report=lambda _done, _total: None)


def left_beside(target: Path) -> list[Path]:
    return [each for each in target.parent.iterdir() if each != target]


def part_of(target: Path) -> Path:
    target.parent.mkdir(parents=True)
    return target.with_name(f".{target.name}.{SHA256}.part")


def test_a_file_comes_whole_from_the_pinned_commit_and_once_only(hub: Hub, target: Path) -> None:
    assert fetch(hub, target)
    assert (target.read_bytes(), left_beside(target)) == (CONTENT, [])
    assert not fetch(hub, target)
    assert hub.asked == [(f"/acme/churn/resolve/{COMMIT}/onnx/model%201.onnx", None, None)]


def test_progress_is_told_up_to_the_whole(hub: Hub, target: Path) -> None:
    told: list[tuple[int, int | None]] = []
    file = HubFile(hub.endpoint, "churn", COMMIT, "model.onnx", SHA256)
    pull(file, target, token=None, force=False, report=lambda *each: told.append(each))
    assert told[-1] == (len(CONTENT), len(CONTENT))


def test_without_a_network_a_file_that_is_there_is_enough(hub: Hub, target: Path) -> None:
    target.parent.mkdir(parents=True)
    target.write_bytes(CONTENT)
    hub.endpoint = "http://127.0.0.1:1"
    assert not fetch(hub, target)


def test_without_a_network_one_line_says_so_and_nothing_is_left(hub: Hub, target: Path) -> None:
    hub.endpoint = "http://127.0.0.1:1"
    with pytest.raises(UnavailableError, match="try again later"):
        fetch(hub, target)
    assert list(target.parent.iterdir()) == []


def test_a_connection_that_breaks_is_taken_up_where_it_was(hub: Hub, target: Path) -> None:
    hub.cuts = [1_000_000, 500_000]
    assert fetch(hub, target)
    assert (target.read_bytes(), left_beside(target)) == (CONTENT, [])
    assert hub.starts == [None, "bytes=1000000-", "bytes=1500000-"]


def test_a_download_that_comes_no_further_ends_and_the_next_one_goes_on(hub: Hub, target: Path) -> None:
    hub.cuts = [1_000_000, 0]
    with pytest.raises(UnavailableError):
        fetch(hub, target)
    assert not target.exists()
    assert fetch(hub, target)
    assert target.read_bytes() == CONTENT
    assert hub.starts[-1] == "bytes=1000000-"


def test_a_hub_that_knows_no_parts_begins_anew(hub: Hub, target: Path) -> None:
    hub.ranges, hub.cuts = False, [1_000_000]
    assert fetch(hub, target)
    assert target.read_bytes() == CONTENT


def test_a_hub_that_knows_no_parts_and_always_breaks_at_the_same_place_is_given_up(hub: Hub, target: Path) -> None:
    hub.ranges, hub.cuts = False, [1_000_000] * 9
    with pytest.raises(UnavailableError):
        fetch(hub, target)
    assert len(hub.asked) == 2


def test_another_part_than_was_asked_for_is_refused(hub: Hub, target: Path) -> None:
    hub.shift, hub.cuts = 1, [1_000_000]
    with pytest.raises(UpstreamFailedError, match="another part"):
        fetch(hub, target)
    assert not target.exists()


def test_wrong_bytes_never_get_the_name_and_are_removed(hub: Hub, target: Path) -> None:
    hub.content = CONTENT[:-1] + b"?"
    with pytest.raises(UpstreamFailedError, match=SHA256):
        fetch(hub, target)
    assert list(target.parent.iterdir()) == []


def test_a_part_that_is_whole_needs_no_network(hub: Hub, target: Path) -> None:
    part_of(target).write_bytes(CONTENT)
    hub.endpoint = "http://127.0.0.1:1"
    assert fetch(hub, target)
    assert (target.read_bytes(), left_beside(target)) == (CONTENT, [])


def test_a_part_that_is_too_long_is_thrown_away(hub: Hub, target: Path) -> None:
    part_of(target).write_bytes(CONTENT + b"more")
    assert fetch(hub, target)
    assert target.read_bytes() == CONTENT


def test_another_file_is_replaced_by_force_alone(hub: Hub, target: Path) -> None:
    target.parent.mkdir(parents=True)
    target.write_bytes(b"yesterday's")
    with pytest.raises(ConflictError, match="--force"):
        fetch(hub, target)
    assert target.read_bytes() == b"yesterday's"
    assert fetch(hub, target, force=True)
    assert target.read_bytes() == CONTENT


def test_two_at_once_do_not_mix_their_bytes(hub: Hub, target: Path) -> None:
    part = part_of(target)
    with part.open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(ConflictError, match="Another process"):
            fetch(hub, target)
    assert fetch(hub, target)


@pytest.mark.parametrize(
    ("status", "error", "says"),
    [
        (401, ForbiddenError, "HF_TOKEN"),
        (403, ForbiddenError, "HF_TOKEN"),
        (404, NotFoundError, "no file"),
        (429, UnavailableError, "429"),
        (503, UnavailableError, "503"),
        (418, UpstreamFailedError, "418"),
    ],
)
def test_what_the_hub_refuses_is_told(hub: Hub, target: Path, status: int, error: type[Exception], says: str) -> None:
    hub.status = status
    with pytest.raises(error, match=says):
        fetch(hub, target)
    assert list(target.parent.iterdir()) == []


def test_the_token_goes_to_the_hub_but_not_to_where_it_redirects(hub: Hub, target: Path) -> None:
    with open_hub(Hub(CONTENT)) as store:
        hub.elsewhere = f"{store.endpoint}/blob"
        assert fetch(hub, target, token="hf_secret")
    assert [each[2] for each in hub.asked] == ["Bearer hf_secret"]
    assert store.asked == [("/blob", None, None)]


def test_a_disk_that_is_full_is_told_and_what_fitted_is_kept(hub: Hub, target: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, hard))
    try:
        with pytest.raises(UnprocessableError, match="cannot be written"):
            fetch(hub, target)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not target.exists()
    assert fetch(hub, target)
    assert target.read_bytes() == CONTENT
    assert hub.starts[-1] is not None
