"""Tests of the embedder and of the embedding model that the service ships with."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Event

import numpy as np
import pytest

from app.adapters.model_session import open_model_session
from app.errors import OverloadedError, StartupError
from app.inference.capacity import BatchingSettings, OpenSession
from app.inference.embedder import Embedder, EmbeddingSettings, open_embedder
from app.inference.manifest import load_embedding_model
from app.inference.ports import ModelSession, Tensor, TensorSpec
from app.settings import Settings

SHIPPED = Path(__file__).parents[2] / "models" / "embedding"
UNMEASURED = BatchingSettings(measure_seconds=0)


@dataclass
class LongVectors:
    """A model whose vectors are not of unit length."""

    dimension: int
    provider: str = "CPUExecutionProvider"
    output_names: list[str] = field(default_factory=lambda: ["embedding"])
    inputs: Sequence[TensorSpec] = ()
    outputs: Sequence[TensorSpec] = ()

    def run(self, inputs: Mapping[str, Tensor]) -> list[Tensor]:
        """Return vectors of sevens."""
        return [np.full((len(inputs["input_ids"]), self.dimension), 7, dtype=np.float32)]


def long_vectors(dimension: int) -> OpenSession:
    @asynccontextmanager
    async def open_session(_: int) -> AsyncIterator[ModelSession]:
        yield LongVectors(dimension)

    return open_session


@pytest.fixture
async def embedder(settings: Settings) -> AsyncIterator[Embedder]:
    model = load_embedding_model(SHIPPED)
    open_session = partial(open_model_session, settings.model_session, SHIPPED / "model.onnx")
    async with open_embedder(settings.embedding, settings.batching, open_session, model) as opened:
        yield opened


async def test_vectors_have_unit_length_and_the_declared_dimension(embedder: Embedder) -> None:
    result = await embedder.embed(["A dog.", "word " * 10_000, "☃"])
    assert result.vectors.shape == (3, embedder.model.dimension)
    np.testing.assert_allclose(np.linalg.norm(result.vectors, axis=1), 1, atol=1e-3)
    assert result.tokens <= 3 * embedder.model.max_tokens


async def test_what_the_model_cannot_embed_in_time_is_refused_before_it_is_tokenized() -> None:
    model, calm, begun = load_embedding_model(SHIPPED), Event(), Event()
    calm.set()

    @dataclass
    class Waiting(LongVectors):
        """A model that waits for the event `calm`."""

        def run(self, inputs: Mapping[str, Tensor]) -> list[Tensor]:
            """Wait, then compute."""
            begun.set()
            calm.wait(30)
            return super().run(inputs)

    @asynccontextmanager
    async def open_session(_: int) -> AsyncIterator[ModelSession]:
        yield Waiting(model.dimension)

    batching = BatchingSettings(measure_seconds=0, lanes=1)
    async with open_embedder(EmbeddingSettings(), batching, open_session, model) as embedder:
        assert await embedder.tokenize(["One."], owner="ada", within=0.001)
        calm.clear()
        begun.clear()
        running = asyncio.create_task(embedder.embed(["One."]))
        await asyncio.to_thread(begun.wait, 30)
        with pytest.raises(OverloadedError):
            await embedder.tokenize(["One."], owner="ada", within=0.001)
        calm.set()
        await running


async def test_a_model_that_leaves_vectors_of_any_length_is_corrected() -> None:
    model = load_embedding_model(SHIPPED)
    async with open_embedder(
        EmbeddingSettings(batch_size=2), UNMEASURED, long_vectors(model.dimension), model
    ) as embedder:
        vectors = (await embedder.embed(["One.", "Two.", "Three."])).vectors
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


async def test_a_model_of_another_dimension_is_refused() -> None:
    model = load_embedding_model(SHIPPED)
    with pytest.raises(StartupError, match=f"{model.dimension} dimensions"):
        async with open_embedder(EmbeddingSettings(), UNMEASURED, long_vectors(7), model):
            pass


async def test_no_texts_have_no_vectors(embedder: Embedder) -> None:
    assert (await embedder.embed([])).vectors.shape == (0, embedder.model.dimension)


async def test_a_text_has_the_same_vector_alone_and_in_a_batch(embedder: Embedder) -> None:
    texts = [f"{'long ' * (index % 40)}text number {index}" for index in range(100)]
    together, *alone = await asyncio.gather(embedder.embed(texts), *(embedder.embed([text]) for text in texts))
    np.testing.assert_allclose(together.vectors, np.concatenate([one.vectors for one in alone]), atol=1e-5)


async def test_like_is_nearer_than_unlike(embedder: Embedder) -> None:
    question, answer, other = (
        await embedder.embed(
            ["How long is the warranty?", "The warranty lasts 24 months.", "Boil the potatoes for twenty minutes."]
        )
    ).vectors
    assert question @ answer > question @ other + 0.1


def test_a_file_that_is_not_the_declared_one_is_refused(tmp_path: Path) -> None:
    folder = shutil.copytree(SHIPPED, tmp_path / "model")
    with (folder / "model.onnx").open("ab") as file:
        file.write(b"!")
    with pytest.raises(StartupError, match="sha256"):
        load_embedding_model(folder)
    (folder / "model.onnx").unlink()
    with pytest.raises(StartupError, match="missing"):
        load_embedding_model(folder)
    (folder / "model.json").write_text(json.dumps({"name": "x"}))
    with pytest.raises(StartupError, match="manifest"):
        load_embedding_model(folder)
    with pytest.raises(StartupError, match="No embedding model"):
        load_embedding_model(tmp_path / "nowhere")


@pytest.mark.parametrize("dimensions", [[0], [160], [64, 161]])
def test_a_manifest_that_would_cut_vectors_to_no_shorter_ones_is_refused(tmp_path: Path, dimensions: list[int]) -> None:
    folder = shutil.copytree(SHIPPED, tmp_path / "model")
    manifest = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(manifest | {"matryoshka_dimensions": dimensions}))
    with pytest.raises(StartupError, match="matryoshka_dimensions must be from 1 to 159"):
        load_embedding_model(folder)


def test_a_manifest_says_to_what_lengths_vectors_may_be_cut(tmp_path: Path) -> None:
    folder = shutil.copytree(SHIPPED, tmp_path / "model")
    manifest = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(manifest | {"matryoshka_dimensions": [64, 128]}))
    assert load_embedding_model(folder).matryoshka_dimensions == (64, 128)
    assert load_embedding_model(SHIPPED).matryoshka_dimensions == ()
