"""Search quality on a small corpus; only this test would notice a wrong tokenizer, prefix or pooling."""

import httpx2

from app.bootstrap import Services
from tests.answers.quality import PASSAGES, QUESTIONS
from tests.http import join

# Shares of all questions; the bundled model reaches 1.0 among five passages and 0.97 with the first.
LEAST_AMONG_FIVE = 0.97
LEAST_FIRST = 0.92
TOP_K = 5


async def test_the_passage_that_answers_a_question_is_found(client: httpx2.AsyncClient, services: Services) -> None:
    ada = await join(client, services, "ada@example.com")
    for subject, text in PASSAGES.items():
        assert (await ada.upload(subject, text.encode())).status_code == 202
    await ada.run_jobs()
    caller = await services.auth.ensure_account(ada.email)
    ranks = []
    for question, subject in QUESTIONS:
        found = [each.filename for each in await services.retrieval.search(question, caller=caller, top_k=TOP_K)]
        ranks.append(found.index(subject) if subject in found else TOP_K)
    assert sum(rank < TOP_K for rank in ranks) >= LEAST_AMONG_FIVE * len(QUESTIONS)
    assert sum(rank == 0 for rank in ranks) >= LEAST_FIRST * len(QUESTIONS)
