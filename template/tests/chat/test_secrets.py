"""What is asked, and the keys, turn up in no log line and no error, whatever a provider does with them."""

import json
from io import StringIO

import httpx2
import pytest

from app.observability.logging import LoggingSettings, configure_logging
from app.settings import Settings
from tests.chat.fake_provider import PROVIDER_SAYS, FakeProvider
from tests.chat.service import PROVIDER_KEY, PROVIDERS, Provider, provider_settings, run_service

CANARY = "canary-in-the-prompt"
FAULTS = (
    *("status-400", "status-401", "status-402", "status-404", "status-429", "status-500", "status-529"),
    *("mute", "stalls", "cuts", "early-cuts", "garbled", "early-garbled", "unfinished", "breaks", "steady"),
)


@pytest.mark.parametrize("kind", PROVIDERS)
async def test_no_fault_makes_the_prompt_or_a_key_turn_up(
    settings: Settings, provider: FakeProvider, kind: Provider
) -> None:
    written, answers = StringIO(), ""
    faulty = provider_settings(provider, kind, FAULTS[0], first_token_timeout=0.3, idle_timeout=0.3)
    faulty.aliases = {fault: [f"{kind}:{fault}"] for fault in FAULTS}
    faulty.attempts = 2
    async with run_service(settings, faulty) as service:
        configure_logging(LoggingSettings(level="DEBUG"), written)
        headers = {"Authorization": f"Bearer {service.key}"}
        async with httpx2.AsyncClient(base_url=service.url, headers=headers, timeout=60) as client:
            for fault in FAULTS:
                for stream in (False, True):
                    messages = [{"role": "user", "content": CANARY}]
                    body = {"model": fault, "messages": messages, "stream": stream}
                    answers += (await client.post("/v1/chat/completions", json=body)).text
    logged = written.getvalue()
    assert len(provider.calls) >= 2 * len(FAULTS)
    assert CANARY in json.dumps([call.body for call in provider.calls])
    assert logged.count("language_model.failed") >= 2 * (len(FAULTS) - 1)
    for secret in (CANARY, PROVIDER_KEY, service.key, PROVIDER_SAYS):
        assert secret not in logged
        assert secret not in answers
