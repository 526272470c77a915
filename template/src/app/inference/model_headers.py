"""Headers that tell, with every answer of a model, what made it and how long that took."""


def model_headers(model: str, provider: str, *, queue_seconds: float, run_seconds: float) -> dict[str, str]:
    """Name a model by name and version, what it runs on, and its times, which are told in milliseconds."""
    return {
        "X-Model": model,
        "X-Model-Provider": provider,
        "Server-Timing": f"queue;dur={queue_seconds * 1000:.2f}, run;dur={run_seconds * 1000:.2f}",
    }
