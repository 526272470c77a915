"""Messages and signatures of Standard Webhooks 1.0.0 (https://www.standardwebhooks.com)."""

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping

SECRET_MARK = "whsec_"  # noqa: S105 - the prefix of secrets
SECRET_BYTES = 32


def make_secret() -> str:
    """Generate the secret of an endpoint."""
    return SECRET_MARK + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def write_body(event: Mapping[str, object]) -> bytes:
    """Serialize an event as it is signed and sent."""
    return json.dumps(event, separators=(",", ":")).encode()


def sign(body: bytes, *, message_id: str, timestamp: int, secret: str) -> dict[str, str]:
    """Return the headers with the signature of a message.

    Args:
        body: exactly the bytes that are sent.
        message_id: the same for every attempt to send the message.
        timestamp: of this attempt, in seconds since 1970.
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
