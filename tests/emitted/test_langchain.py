"""LangChain's client of OpenAI's embeddings, as it is, against the service."""

import asyncio
from pathlib import Path
from typing import Any

import httpx2
import pytest
from langchain_openai import OpenAIEmbeddings
from pydantic import SecretStr

from emitted.conftest import each_combination
from emitted.stack import Stack, running

MODEL = "static-minilm"
TEXTS = ["How long is the warranty?", "The warranty lasts 24 months.", "Boil the potatoes."]


@each_combination("LangChain", only="pgvector-arq-cpu")
def test_langchain_embeds_documents_and_queries(project: Path) -> None:
    with running(project) as stack:
        answer = stack.request("POST", "/v1/embeddings", json={"model": MODEL, "input": TEXTS})
        expected = [pytest.approx(item["embedding"], abs=1e-6) for item in answer["data"]]
        with httpx2.Client() as connections:
            client = embeddings(stack, http_client=connections)
            assert client.embed_documents(TEXTS) == expected
            assert client.embed_query(TEXTS[0]) == expected[0]
        assert asyncio.run(embed_asynchronously(stack)) == expected


async def embed_asynchronously(stack: Stack) -> list[list[float]]:
    async with httpx2.AsyncClient() as connections:
        return await embeddings(stack, http_async_client=connections).aembed_documents(TEXTS)


def embeddings(stack: Stack, **connections: Any) -> OpenAIEmbeddings:  # noqa: ANN401 - LangChain's own type
    """The client; it never closes connections that it has opened itself, so it gets some."""
    return OpenAIEmbeddings(
        model=MODEL,
        base_url=f"{stack.url}/v1",
        api_key=SecretStr(stack.key),
        # Otherwise it sends tokens of OpenAI's vocabulary, which it fetches from the network.
        check_embedding_ctx_length=False,
        chunk_size=2,
        **connections,
    )
