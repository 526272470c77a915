"""Tests of the service with OpenAI's own client over a real socket."""

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass

import numpy as np
import openai
import pytest
import uvicorn
from fastapi import FastAPI
from numpy.typing import NDArray
from openai.types import CreateEmbeddingResponse

from app.auth.caller import ACCOUNT_SCOPES
from app.bootstrap import Services
from app.inference.embedder import Embedder

MODEL = "static-minilm"
TEXTS = ["How long is the warranty?", "The warranty lasts 24 months.", "Boil the potatoes."]


@dataclass(frozen=True)
class Account:
    """What a client needs to connect."""

    base_url: str
    api_key: str


@pytest.fixture
async def account(application: FastAPI, services: Services) -> AsyncIterator[Account]:
    """Serve the application on loopback and create a key."""
    config = uvicorn.Config(application, lifespan="off", ws="none", log_config=None)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = asyncio.create_task(server.serve([listener]))
        yield Account(f"http://127.0.0.1:{listener.getsockname()[1]}/v1", await key_of(services))
        server.should_exit = True
        await serving


async def key_of(services: Services) -> str:
    """Create a key with all scopes of an account."""
    caller = await services.auth.ensure_account("ada@example.com")
    return (await services.auth.create_key("test", ACCOUNT_SCOPES, caller=caller)).secret


@pytest.fixture
async def sdk(account: Account) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=account.base_url, api_key=account.api_key, max_retries=0) as client:
        yield client


@pytest.fixture
def embedder(services: Services) -> Embedder:
    return services.ports.embedder


@pytest.fixture
async def expected(embedder: Embedder) -> NDArray[np.float32]:
    """Return the vectors that the model itself computes for the texts."""
    return (await embedder.embed(TEXTS)).vectors


def check(answer: CreateEmbeddingResponse, expected: NDArray[np.float32]) -> None:
    assert [item.index for item in answer.data] == list(range(len(expected)))
    assert (answer.object, answer.model) == ("list", MODEL)
    np.testing.assert_allclose([item.embedding for item in answer.data], expected, atol=1e-6)


async def test_the_sdk_embeds_texts_in_both_encodings(
    sdk: openai.AsyncOpenAI, embedder: Embedder, expected: NDArray[np.float32]
) -> None:
    packed = await sdk.embeddings.create(model=MODEL, input=TEXTS)
    check(packed, expected)
    check(await sdk.embeddings.create(model=MODEL, input=TEXTS, encoding_format="float"), expected)
    check(await sdk.embeddings.create(model=MODEL, input=TEXTS[0], dimensions=160, user="ada"), expected[:1])
    count = sum(len(embedder.tokenizer.encode(text).ids) for text in TEXTS)
    assert (packed.usage.prompt_tokens, packed.usage.total_tokens) == (count, count)


async def test_the_sdk_embeds_tokens(
    sdk: openai.AsyncOpenAI, embedder: Embedder, expected: NDArray[np.float32]
) -> None:
    ids = [embedder.tokenizer.encode(text).ids for text in TEXTS]
    check(await sdk.embeddings.create(model=MODEL, input=ids), expected)
    check(await sdk.embeddings.create(model=MODEL, input=ids[0]), expected[:1])


async def test_the_blocking_sdk_embeds_and_lists_models(
    account: Account, embedder: Embedder, expected: NDArray[np.float32]
) -> None:
    ids = [embedder.tokenizer.encode(text).ids for text in TEXTS]

    def call() -> None:
        with openai.OpenAI(base_url=account.base_url, api_key=account.api_key, max_retries=0) as client:
            assert MODEL in {model.id for model in client.models.list()}
            check(client.embeddings.create(model=MODEL, input=TEXTS), expected)
            check(client.embeddings.create(model=MODEL, input=ids, encoding_format="float"), expected)

    await asyncio.to_thread(call)


async def test_the_sdk_raises_its_own_errors_with_our_reasons(sdk: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match=MODEL) as missed:
        await sdk.embeddings.create(model="text-embedding-3-small", input="text")
    assert (missed.value.code, missed.value.param) == ("model_not_found", "model")
    with pytest.raises(openai.BadRequestError, match="Input 1 has 600 tokens"):
        await sdk.embeddings.create(model=MODEL, input=["a", "word " * 600])
    with pytest.raises(openai.BadRequestError, match=r"input\.texts\.1: .* at least 1 character"):
        await sdk.embeddings.create(model=MODEL, input=["a", ""])
    with pytest.raises(openai.BadRequestError, match="160 dimensions"):
        await sdk.embeddings.create(model=MODEL, input="text", dimensions=64)
    with pytest.raises(openai.AuthenticationError) as caught:
        await sdk.with_options(api_key="sk-nobody").embeddings.create(model=MODEL, input="text")
    assert caught.value.code == "unauthenticated"
