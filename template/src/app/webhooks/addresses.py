"""Address checks that protect webhooks against server-side request forgery (SSRF).

A webhook URL must not lead to the machine itself, its network or its cloud's metadata. A host name may resolve to
another address at delivery, so the check applies to the address that is connected to.
"""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

from app.errors import UnprocessableError

LONGEST_URL = 2000
# Global unicast: the only IPv6 range routed on the Internet.
UNICAST = ip_network("2000::/3")
# Teredo and 6to4: these embed an IPv4 address, which a gateway connects to.
TUNNELS = (ip_network("2001::/32"), ip_network("2002::/16"))
LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
# Public addresses that are metadata services inside a cloud: Oracle's and Azure's.
CLOUD_METADATA = (ip_network("192.0.0.0/24"), ip_network("168.63.129.16/32"))


def is_public(address: str) -> bool:
    """Return whether an IP address is public."""
    ip = ip_address(address)
    if isinstance(ip, IPv6Address):
        return ip in UNICAST and ip.is_global and not any(ip in tunnel for tunnel in TUNNELS)
    return ip.is_global and not ip.is_multicast and not any(ip in network for network in CLOUD_METADATA)


def is_loopback(address: str) -> bool:
    """Return whether an IP address is a loopback address."""
    return any(ip_address(address) in network for network in LOOPBACK)


def may_be_called(address: str, scheme: str, *, allow_loopback: bool) -> bool:
    """Return whether an IP address may be connected to: public ones with https, loopback ones if allowed."""
    return (scheme == "https" and is_public(address)) or (allow_loopback and is_loopback(address))


def check_url(url: str, *, allow_loopback: bool) -> None:
    """Check a webhook URL; the addresses of its host name are checked only at delivery.

    Raises:
        UnprocessableError: the URL may never be called.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    literal = _literal(host)
    is_here = host == "localhost" or (literal is not None and is_loopback(str(literal)))
    if len(url) > LONGEST_URL:
        raise UnprocessableError(f"The URL may have at most {LONGEST_URL} characters.")
    if parts.scheme != "https" and not (parts.scheme == "http" and allow_loopback and is_here):
        raise UnprocessableError("The URL must begin with https://.")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise UnprocessableError("The URL may have neither credentials nor a fragment.")
    if literal and not may_be_called(str(literal), parts.scheme, allow_loopback=allow_loopback):
        raise UnprocessableError("The URL must lead to a public address.")


def _literal(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None
