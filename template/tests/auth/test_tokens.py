"""Tests of tokens that were tampered with, expired or issued for another purpose."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import jwt
import pytest

from app.auth.tokens import LEEWAY, AuthSettings, Session, TokenUse, issue_tokens, read_token
from app.errors import UnauthenticatedError

SETTINGS = AuthSettings.model_validate({"jwt_secret": "s" * 40})
ACCOUNT = uuid4()


def sign(key: str = "s" * 40, algorithm: str = "HS256", **changes: object) -> str:
    now = datetime.now(UTC)
    claims = {"sub": str(ACCOUNT), "use": "access", "iss": "app", "aud": "app", "iat": now, "exp": now + timedelta(1)}
    kept = {name: value for name, value in (claims | changes).items() if value is not None}
    return jwt.encode(kept, "" if algorithm == "none" else key, algorithm=algorithm)


def test_a_token_names_its_account() -> None:
    issued = issue_tokens(Session(ACCOUNT, datetime.now(UTC)), SETTINGS)
    assert read_token(issued.access, TokenUse.ACCESS, SETTINGS).account_id == ACCOUNT
    assert read_token(sign(), TokenUse.ACCESS, SETTINGS).account_id == ACCOUNT


def test_a_token_of_a_process_whose_clock_is_a_little_ahead_is_good() -> None:
    token = sign(iat=datetime.now(UTC) + timedelta(seconds=LEEWAY / 2))
    assert read_token(token, TokenUse.ACCESS, SETTINGS).account_id == ACCOUNT


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


def lives(*tokens: str) -> list[timedelta]:
    """Return the remaining lifetimes of tokens, rounded to hours."""
    ends = [jwt.decode(each, options={"verify_signature": False})["exp"] for each in tokens]
    now = datetime.now(UTC).timestamp()
    return [timedelta(hours=round((end - now) / 3600)) for end in ends]


def test_a_token_remembers_the_sign_in_through_refreshes() -> None:
    signed_in_at = datetime.now(UTC).replace(microsecond=0) - timedelta(days=13)
    session = Session(ACCOUNT, signed_in_at)
    for _ in range(3):
        session = read_token(issue_tokens(session, SETTINGS).refresh, TokenUse.REFRESH, SETTINGS)
    assert session.signed_in_at == signed_in_at


def test_no_token_outlives_its_session() -> None:
    now = datetime.now(UTC)
    settings = SETTINGS.model_copy(update={"access_minutes": 6 * 60})
    fresh = issue_tokens(Session(ACCOUNT, now), settings)
    assert lives(fresh.access, fresh.refresh) == [timedelta(hours=6), timedelta(days=14)]
    old = issue_tokens(Session(ACCOUNT, now - timedelta(days=90) + timedelta(hours=8)), settings)
    assert lives(old.access, old.refresh) == [timedelta(hours=6), timedelta(hours=8)]
    last = issue_tokens(Session(ACCOUNT, now - timedelta(days=90) + timedelta(hours=2)), settings)
    assert lives(last.access, last.refresh) == [timedelta(hours=2)] * 2
    assert 7100 < last.expires_in <= 7200


def test_a_session_that_is_over_has_no_more_tokens() -> None:
    with pytest.raises(UnauthenticatedError, match="sign in again"):
        issue_tokens(Session(ACCOUNT, datetime.now(UTC) - timedelta(days=90)), SETTINGS)


def test_a_token_of_an_earlier_release_counts_from_its_issue() -> None:
    issued = datetime.now(UTC).replace(microsecond=0) - timedelta(days=3)
    assert read_token(sign(use="refresh", iat=issued), TokenUse.REFRESH, SETTINGS) == Session(ACCOUNT, issued)
