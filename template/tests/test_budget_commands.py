"""Tests of the operator's commands for budgets."""

import pytest

from app import cli
from app.settings import Settings
from tests.commands import EMAIL, attempt, run


@pytest.fixture
def settings(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Return settings with a default budget for all accounts."""
    monkeypatch.setenv("APP_USAGE__MONTHLY_BUDGET", "10")
    return settings


@pytest.mark.usefixtures("settings")
def test_an_account_gets_a_budget_of_its_own_and_loses_it_again() -> None:
    run("create-key", "--email", EMAIL)
    assert run("budget", "show", EMAIL).endswith(": 0 spent, 0 reserved, 10 USD")
    assert run("budget", "set", EMAIL, "25.50").endswith(": 0 spent, 0 reserved, 25.5 USD")
    assert run("budget", "set", EMAIL, "unlimited").endswith(": 0 spent, 0 reserved, no limit")
    assert run("budget", "set", EMAIL, "0").endswith(": 0 spent, 0 reserved, 0 USD")
    assert run("budget", "unset", EMAIL).endswith(": 0 spent, 0 reserved, 10 USD")


@pytest.mark.usefixtures("settings")
@pytest.mark.parametrize("amount", ["-1", "a lot", "NaN", "Infinity", "1e12", ""])
def test_an_amount_that_is_none_is_refused(amount: str) -> None:
    refused = attempt("budget", "set", EMAIL, "--", amount)
    assert (refused.exit_code, "Give an amount such as 25.50" in refused.stderr) == (2, True)


@pytest.mark.usefixtures("settings")
def test_a_misspelt_address_makes_no_account(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["app", "budget", "set", "nobody@example.com", "1"])
    with pytest.raises(SystemExit) as exit_:
        cli.main()
    assert exit_.value.code == 1
    assert capsys.readouterr().err == "No active account has the address nobody@example.com.\n"
