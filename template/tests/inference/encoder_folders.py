"""Folders of embedding models with a test graph and a tokenizer that adds special tokens."""

import hashlib
import json
from pathlib import Path
from typing import Any

import onnx
from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing

from app.inference.manifest import EmbeddingModel, load_embedding_model

SHIPPED = Path(__file__).parents[2] / "models" / "embedding"
DIMENSION = 4
MAX_TOKENS = 32


def bracketing_tokenizer() -> Tokenizer:
    """Return a tokenizer that truncates and pads as published ones do and adds two special tokens to each text."""
    made: Tokenizer = Tokenizer.from_file(str(SHIPPED / "tokenizer.json"))
    made.post_processor = TemplateProcessing(single="[PAD] $0 [UNK]", special_tokens=[("[PAD]", 0), ("[UNK]", 1)])
    made.enable_truncation(MAX_TOKENS)
    made.enable_padding(length=MAX_TOKENS)
    return made


def write_encoder(folder: Path, graph: onnx.ModelProto | None = None, **declared: Any) -> EmbeddingModel:  # noqa: ANN401 - what a manifest may hold
    """Write a model folder, with a graph if one is given, and load its manifest."""
    folder.mkdir(parents=True)
    bracketing_tokenizer().save(str(folder / "tokenizer.json"))
    if graph is not None:
        onnx.save(graph, str(folder / "model.onnx"))
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    manifest = {"name": "tiny", "version": "1", "dimension": DIMENSION, "max_tokens": MAX_TOKENS, "files": files}
    (folder / "model.json").write_text(json.dumps(manifest | declared))
    return load_embedding_model(folder)
