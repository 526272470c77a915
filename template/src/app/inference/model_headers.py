"""Response headers with the model that produced an answer and its times."""


def model_headers(model: str, provider: str, *, queue_seconds: float, run_seconds: float) -> dict[str, str]:
    """Return headers with the model's identity and provider, and with the times converted to milliseconds."""
    return {
        "X-Model": model,
        "X-Model-Provider": provider,
        "Server-Timing": f"queue;dur={queue_seconds * 1000:.2f}, run;dur={run_seconds * 1000:.2f}",
    }
