"""A document to index, and the question that finds it."""

from emitted.stack import Stack

MANUAL = """# Kettle manual

The warranty of the kettle lasts 24 months from the day of purchase.

## Cleaning

Descale the kettle every three months with citric acid. Never put it into the dishwasher.
"""


def check_search(stack: Stack) -> None:
    """Search for what the manual says; its very characters have to come back."""
    found = stack.request("POST", "/v1/search", json={"query": "How long is the warranty of the kettle?"})
    best = found["items"][0]
    assert "24 months" in best["text"]
    assert MANUAL[best["start"] : best["end"]] == best["text"]
