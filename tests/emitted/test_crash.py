"""A worker that is killed loses nothing and does nothing twice, in either queue."""

import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from emitted.conftest import each_combination, where_every_two_choices_meet
from emitted.stack import Stack, no_device, running

COUNT = 20
SENTENCE = "The {animal} number {number} of document {document} sleeps in the shade of the old {tree} tree. "
IMPATIENT = {"APP_JOBS__LEASE": "3", "APP_JOBS__REQUEUE_AFTER": "5", "APP_JOBS__SWEEP_INTERVAL": "1"}


def long_text(document: int) -> bytes:
    words = [("heron", "oak"), ("otter", "lime"), ("badger", "elm"), ("lynx", "birch")]
    lines = [
        SENTENCE.format(animal=words[n % 4][0], tree=words[n % 4][1], number=n, document=document) for n in range(3000)
    ]
    return "".join(lines).encode()


@where_every_two_choices_meet
@each_combination("kill -9")
def test_killing_the_worker_amid_twenty_documents_loses_and_doubles_none(project: Path, combination: str) -> None:
    settings = IMPATIENT | no_device(combination)
    with running(project, **settings) as stack:
        uploaded = {stack.upload(f"{number}.txt", long_text(number)) for number in range(COUNT)}
        _wait_until_amid(stack, uploaded)
        _kill_workers(stack)
        # Without its worker the stack says so and stops.
        assert stack.runner.wait(60) == 1
    with running(project, **settings) as stack:
        stack.wait_until_indexed(uploaded)
        for document_id in uploaded:
            body = {"query": "animals", "top_k": 50, "filters": {"document_ids": [document_id]}}
            places = [(item["start"], item["end"]) for item in stack.request("POST", "/v1/search", json=body)["items"]]
            assert len(places) == len(set(places)) > 0


def _wait_until_amid(stack: Stack, uploaded: set[str]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        states = stack.states(uploaded)
        if "processing" in states and "ready" in states:
            return
        if all(state == "ready" for state in states):
            pytest.fail("too fast to be killed in the middle: make the documents longer")
        time.sleep(0.02)
    pytest.fail(f"nothing was being indexed\n{stack.tail()}")


def _kill_workers(stack: Stack) -> None:
    for process in stack.processes():
        with suppress(psutil.NoSuchProcess):  # those that read files come and go
            if "app.worker" in process.cmdline():
                process.kill()
