"""Messages and their signatures as Standard Webhooks 1.0.0 has them (https://www.standardwebhooks.com)."""

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping

SECRET_MARK = "whsec_"  # noqa: S105 - what secrets begin with
SECRET_BYTES = 32


def make_secret() -> str:
    """Make a secret for one endpoint."""
    return SECRET_MARK + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def write_body(event: Mapping[str, object]) -> bytes:
    """Write an event as it is signed and sent."""
    return json.dumps(event, separators=(",", ":")).encode()


def sign(body: bytes, *, message_id: str, timestamp: int, secret: str) -> dict[str, str]:
    """Make the headers that prove where a message comes from.

    Args:
        body: what is sent, byte for byte.
        message_id: the same however often the message is sent.
        timestamp: of this try, in seconds since 1970.
        secret: `whsec_` and the key in base64.
    """
    key = base64.b64decode(secret.removeprefix(SECRET_MARK))
    signed = b"%b.%d.%b" % (message_id.encode(), timestamp, body)
    signature = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{signature}",
    }
