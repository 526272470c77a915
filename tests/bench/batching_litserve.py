"""The rival LitServe: `RIVAL='[name, folder, rows, wait, workers, threads]' python batching_litserve.py PORT`."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import litserve
from batching_sessions import opened, run_named, written

NAME, FOLDER, ROWS, WAIT, WORKERS, THREADS = json.loads(os.environ["RIVAL"])


class Model(litserve.LitAPI):
    """One model; what is batched are payloads."""

    def setup(self, device: str) -> None:  # noqa: ARG002
        """Open the model in a worker."""
        self.session = opened(NAME, Path(FOLDER), THREADS)

    def decode_request(self, request) -> Any:  # noqa: ANN001, ANN401 - it reads this annotation, and knows its own
        """Read one request."""
        return request["input"]

    def batch(self, inputs: Any) -> Any:  # noqa: ANN401
        """Leave the stacking to the model's own run."""
        return inputs

    def predict(self, batch: Any) -> Any:  # noqa: ANN401
        """Run a batch."""
        return run_named(NAME, self.session, batch)

    def unbatch(self, output: Any) -> Any:  # noqa: ANN401
        """Give the rows."""
        return list(output)

    def encode_response(self, output: Any) -> Any:  # noqa: ANN401
        """Write one answer."""
        return {"output": written(output)}


if __name__ == "__main__":
    api = Model(max_batch_size=ROWS, batch_timeout=WAIT, api_path="/run")
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=WORKERS, timeout=60, fast_queue=True)
    server.run(
        host="127.0.0.1",
        port=int(sys.argv[1]),
        num_api_servers=1,
        generate_client_file=False,
        log_level="warning",
        access_log=False,
    )
