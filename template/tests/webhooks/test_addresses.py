"""Tests of which addresses webhooks may call."""

import pytest

from app.errors import UnprocessableError
from app.webhooks.addresses import check_url, is_public, may_be_called

OPEN = ["8.8.8.8", "93.184.216.34", "1.1.1.1", "2606:4700:4700::1111", "2a00:1450:4001:829::200e"]
CLOSED = [
    "0.0.0.0",  # noqa: S104 - this machine's address
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.8.9.10",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.168.1.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:8.8.8.8",
    "64:ff9b::7f00:1",
    "64:ff9b:1::a00:1",
    "2001:0:7f00:1::",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
]


@pytest.mark.parametrize("address", OPEN)
def test_addresses_of_the_open_internet_may_be_called_with_tls(address: str) -> None:
    assert is_public(address)
    assert may_be_called(address, "https", allow_loopback=False)
    assert not may_be_called(address, "http", allow_loopback=True)


@pytest.mark.parametrize("address", CLOSED)
def test_addresses_inside_may_not_be_called(address: str) -> None:
    assert not is_public(address)
    assert not may_be_called(address, "https", allow_loopback=False)


def test_loopback_opens_this_machine_and_nothing_else() -> None:
    for address in CLOSED:
        is_own = address.startswith("127.") or address == "::1"
        assert may_be_called(address, "http", allow_loopback=True) == is_own, address


@pytest.mark.parametrize("host", ["example.com", "example.com:8443", "8.8.8.8", "[2606:4700:4700::1111]"])
def test_a_url_with_tls_may_be_registered(host: str) -> None:
    check_url(f"https://{host}/hooks?tenant=7", allow_loopback=False)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_without_tls_none_but_this_machine_may_be_registered_and_that_only_if_allowed(host: str) -> None:
    check_url(f"http://{host}:8080/hooks", allow_loopback=True)
    for url, is_allowed in ((f"http://{host}:8080/hooks", False), ("http://example.com/hooks", True)):
        with pytest.raises(UnprocessableError):
            check_url(url, allow_loopback=is_allowed)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "http://127.0.0.1:8080/",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://[::ffff:169.254.169.254]/latest",
        "https://169.254.169.254/latest",
        "https://user:password@example.com/",
        "https://user@example.com/",
        "https://example.com/#part",
        "ftp://example.com/",
        "https://example.com/" + "x" * 2000,
    ],
)
def test_a_url_that_never_may_be_called_is_refused_at_once(url: str) -> None:
    with pytest.raises(UnprocessableError):
        check_url(url, allow_loopback=False)
