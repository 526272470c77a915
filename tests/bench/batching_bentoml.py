"""The rival BentoML on the same work: `RIVAL='[name, folder, rows, workers, threads]' bentoml serve …:Model`."""

from __future__ import annotations

import json
import os
from pathlib import Path

import bentoml
from batching_sessions import opened, run_named, written

NAME, FOLDER, ROWS, WORKERS, THREADS = json.loads(os.environ["RIVAL"])
QUIET = {"access": {"enabled": False}}
Rows = list[list[int]] if NAME == "encoder" else list[list[float]]


@bentoml.service(workers=WORKERS, traffic={"timeout": 60}, logging=QUIET, metrics={"enabled": False})
class Model:
    """One model."""

    def __init__(self) -> None:
        """Open the model in a worker."""
        self.session = opened(NAME, Path(FOLDER), THREADS)

    @bentoml.api(batchable=True, max_batch_size=ROWS, max_latency_ms=60_000)
    def run(self, rows: Rows) -> list[str]:
        """Run a batch; every request brings one row of it."""
        return [written(row) for row in run_named(NAME, self.session, rows)]
