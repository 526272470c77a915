"""Query and passage prefixes reach the embedding model and appear nowhere else."""

from dataclasses import replace

import pytest

from app.bootstrap import Services
from tests.http import Person

TEXT = "The warranty lasts 24 months."
QUERY = "How long does the warranty last?"


async def test_searches_compare_prefixed_texts_and_show_what_the_document_says(ada: Person, services: Services) -> None:
    embedder = services.ports.embedder
    embedder.model = replace(embedder.model, query_prefix="query: ", passage_prefix="passage: ")
    await ada.upload_and_index("warranty.txt", TEXT.encode())
    [found] = (await ada.request("POST", "/v1/search", json={"query": QUERY})).json()["items"]
    query, passage, plain = (await embedder.embed(["query: " + QUERY, "passage: " + TEXT, QUERY])).vectors
    assert (found["text"], found["start"], found["end"]) == (TEXT, 0, len(TEXT))
    assert found["score"] == pytest.approx(float(query @ passage), abs=2e-3)
    assert abs(float(plain @ passage) - float(query @ passage)) > 1e-2

    body = {"model": embedder.model.name, "input": QUERY}
    embedded = (await ada.request("POST", "/v1/embeddings", json=body)).json()["data"][0]["embedding"]
    assert embedded == pytest.approx(plain.tolist(), abs=1e-5)
