"""Tests of encoders as they are published: with prefixes, with more inputs, with a vector per token."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from app.adapters.model_session import open_model_session
from app.errors import StartupError
from app.inference.capacity import BatchingSettings
from app.inference.embedder import Embedder, EmbeddingSettings, open_embedder
from app.inference.manifest import EmbeddingModel
from app.settings import Settings
from tests.inference.encoder_folders import DIMENSION, bracketing_tokenizer, write_encoder

TEXTS = ["A dog.", "The warranty lasts 24 months from the date of purchase.", ""]
Opener = Callable[[EmbeddingModel], AbstractAsyncContextManager[Embedder]]

TABLE = np.random.default_rng(7).normal(size=(bracketing_tokenizer().get_vocab_size(), DIMENSION)).astype(np.float32)


def token_vectors(*, with_types: bool = False, with_first: bool = False) -> onnx.ModelProto:
    """Build a graph that returns a vector per token; with types, tokens of a type other than 0 get another vector."""
    names = ["input_ids", "attention_mask", *(["token_type_ids"] if with_types else [])]
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "length"]) for name in names]
    nodes = [helper.make_node("Gather", ["table", "input_ids"], ["looked_up"])]
    constants = [numpy_helper.from_array(TABLE, "table")]
    if with_types:
        constants.append(numpy_helper.from_array(np.array([[0] * DIMENSION, [9] * DIMENSION], np.float32), "types"))
        nodes.append(helper.make_node("Gather", ["types", "token_type_ids"], ["typed"]))
        nodes.append(helper.make_node("Add", ["looked_up", "typed"], ["states"]))
    else:
        nodes.append(helper.make_node("Identity", ["looked_up"], ["states"]))
    outputs = [helper.make_tensor_value_info("states", TensorProto.FLOAT, ["batch", "length", DIMENSION])]
    if with_first:
        constants.append(numpy_helper.from_array(np.array(0), "zero"))
        nodes.append(helper.make_node("Gather", ["states", "zero"], ["first"], axis=1))
        outputs.insert(0, helper.make_tensor_value_info("first", TensorProto.FLOAT, ["batch", DIMENSION]))
    graph = helper.make_graph(nodes, "test", inputs, outputs, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


@pytest.fixture
def opener(settings: Settings) -> Opener:
    """Return a function that opens a written model."""

    @asynccontextmanager
    async def opened(model: EmbeddingModel) -> AsyncIterator[Embedder]:
        session = partial(open_model_session, settings.model_session, model.folder / "model.onnx")
        batching = BatchingSettings(measure_seconds=0)
        async with open_embedder(EmbeddingSettings(batch_size=4), batching, session, model) as embedder:
            yield embedder

    return opened


def expected(text: str, pooling: str) -> NDArray[np.float32]:
    tokenizer = bracketing_tokenizer()
    tokenizer.no_padding()
    states = TABLE[tokenizer.encode(text).ids]
    vector = {"mean": states.mean(axis=0), "cls": states[0], "last": states[-1]}[pooling]
    return np.asarray(vector / np.linalg.norm(vector))


@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
@pytest.mark.parametrize("variant", [{}, {"with_types": True}, {"with_first": True}])
async def test_vectors_of_tokens_become_one_without_those_of_padding(
    tmp_path: Path, opener: Opener, pooling: str, variant: dict[str, bool]
) -> None:
    model = write_encoder(tmp_path / "tiny", token_vectors(**variant), pooling=pooling)
    async with opener(model) as embedder:
        vectors = (await embedder.embed(TEXTS)).vectors
    np.testing.assert_allclose(vectors, [expected(text, pooling) for text in TEXTS], atol=1e-5)


@pytest.mark.parametrize(
    ("variant", "message"), [({}, "vector for each token"), ({"with_first": True}, "2 outputs.*`pooling`")]
)
async def test_a_graph_that_needs_pooling_is_refused_without_it(
    tmp_path: Path, opener: Opener, variant: dict[str, bool], message: str
) -> None:
    model = write_encoder(tmp_path / "tiny", token_vectors(**variant))
    with pytest.raises(StartupError, match=message):
        async with opener(model):
            pass


async def test_queries_and_passages_are_embedded_with_their_prefixes_and_other_texts_without(
    tmp_path: Path, opener: Opener
) -> None:
    prefixes = {"query_prefix": "query: ", "passage_prefix": "passage: "}
    model = write_encoder(tmp_path / "tiny", token_vectors(), pooling="mean", **prefixes)
    async with opener(model) as embedder:
        query = await embedder.embed_query(TEXTS[0])
        passages = (await embedder.embed_passages(TEXTS[:2])).vectors
        plain = (await embedder.embed(TEXTS[:1])).vectors[0]
    np.testing.assert_allclose(query, expected("query: " + TEXTS[0], "mean"), atol=1e-5)
    np.testing.assert_allclose(passages, [expected("passage: " + text, "mean") for text in TEXTS[:2]], atol=1e-5)
    np.testing.assert_allclose(plain, expected(TEXTS[0], "mean"), atol=1e-5)


async def test_a_prefix_takes_its_tokens_from_those_of_a_passage(tmp_path: Path, opener: Opener) -> None:
    for prefix, taken in ("", 0), ("passage: ", 2):
        model = write_encoder(tmp_path / f"tiny-{taken}", token_vectors(), pooling="mean", passage_prefix=prefix)
        async with opener(model) as embedder:
            assert embedder.passage_tokens == model.max_tokens - 2 - taken


async def test_a_prefix_that_leaves_no_room_for_passages_is_refused(tmp_path: Path, opener: Opener) -> None:
    model = write_encoder(tmp_path / "tiny", token_vectors(), pooling="mean", passage_prefix="passage " * 30)
    with pytest.raises(StartupError, match="leaves no token for a passage"):
        async with opener(model):
            pass
