"""Tokens that were tampered with, or made for somebody else."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import jwt
import pytest

from app.auth.tokens import LEEWAY, AuthSettings, TokenUse, issue_tokens, read_token
from app.errors import UnauthenticatedError

SETTINGS = AuthSettings.model_validate({"jwt_secret": "s" * 40})
ACCOUNT = uuid4()


def sign(key: str = "s" * 40, algorithm: str = "HS256", **changes: object) -> str:
    now = datetime.now(UTC)
    claims = {"sub": str(ACCOUNT), "use": "access", "iss": "app", "aud": "app", "iat": now, "exp": now + timedelta(1)}
    kept = {name: value for name, value in (claims | changes).items() if value is not None}
    return jwt.encode(kept, "" if algorithm == "none" else key, algorithm=algorithm)


def test_a_token_names_its_account() -> None:
    assert read_token(issue_tokens(ACCOUNT, SETTINGS).access, TokenUse.ACCESS, SETTINGS) == ACCOUNT
    assert read_token(sign(), TokenUse.ACCESS, SETTINGS) == ACCOUNT


def test_a_token_of_a_process_whose_clock_is_a_little_ahead_is_good() -> None:
    token = sign(iat=datetime.now(UTC) + timedelta(seconds=LEEWAY / 2))
    assert read_token(token, TokenUse.ACCESS, SETTINGS) == ACCOUNT


@pytest.mark.parametrize(
    "token",
    [
        sign(key="t" * 40),
        sign(key="s" * 64, algorithm="HS512"),
        sign(algorithm="none"),
        sign(iss="somebody else"),
        sign(aud="another service"),
        sign(exp=datetime.now(UTC) - timedelta(seconds=LEEWAY + 1)),
        sign(iat=datetime.now(UTC) + timedelta(hours=1)),
        sign(exp=None),
        sign(iss=None),
        sign(aud=None),
        sign(sub="not a uuid"),
        sign(use="refresh"),
        sign(use=None),
        "not.a.token",
        "",
    ],
    ids=[
        "other key", "other algorithm", "unsigned", "issuer", "audience", "expired", "of the future", "no expiry",
        "no issuer", "no audience", "bad subject", "refresh token", "no use", "garbage", "empty",
    ],
)  # fmt: skip
def test_any_other_token_is_refused(token: str) -> None:
    with pytest.raises(UnauthenticatedError):
        read_token(token, TokenUse.ACCESS, SETTINGS)
