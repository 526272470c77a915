"""Reads an embedding model's folder the way the service does, to judge exactly the files that ship."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort  # type: ignore[import-untyped]
from numpy.typing import NDArray
from tokenizers import Tokenizer

from foundry.manifest import MODEL, TOKENIZER
from foundry.teacher import THREADS

Floats = NDArray[np.float32]
ROWS = 64


class Encoder:
    """A sentence encoder opened from a folder that holds model.onnx and tokenizer.json."""

    def __init__(self, folder: Path) -> None:
        """Open the files in ``folder``."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = THREADS
        self._session: Any = ort.InferenceSession(folder / MODEL, options, providers=["CPUExecutionProvider"])
        self._tokenizer: Tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))

    def encode(self, texts: Sequence[str]) -> Floats:
        """Return one unit vector per text, ``[texts, dimension]``, in the order given."""
        rows = [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]
        order = sorted(range(len(rows)), key=lambda position: len(rows[position]))
        parts = [self._run([rows[position] for position in order[at : at + ROWS]]) for at in range(0, len(rows), ROWS)]
        result = np.concatenate(parts)
        return result[np.argsort(order)]

    def _run(self, rows: list[list[int]]) -> Floats:
        ids = np.zeros((len(rows), max(map(len, rows))), dtype=np.int64)
        mask = np.zeros_like(ids)
        for index, row in enumerate(rows):
            ids[index, : len(row)] = row
            mask[index, : len(row)] = 1
        result: Floats = self._session.run(["sentence_embedding"], {"input_ids": ids, "attention_mask": mask})[0]
        return result
