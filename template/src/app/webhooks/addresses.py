"""Which addresses the service may call on somebody's word.

Whoever registers a URL must not reach through it what only this service can: the machine itself, its network, the
metadata of its cloud. A name proves nothing, since it may lead elsewhere by the time it is used; so the address that a
connection is made to is what is judged.
"""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

from app.errors import UnprocessableError

LONGEST_URL = 2000
# Global unicast: all that the Internet's routers carry of IPv6.
UNICAST = ip_network("2000::/3")
# These carry an IPv4 address inside, and where it leads is up to a gateway: Teredo and 6to4.
TUNNELS = (ip_network("2001::/32"), ip_network("2002::/16"))
LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
# Global by their number, but answered by the cloud that the machine is in: Oracle's metadata, and Azure's.
OF_THE_CLOUD = (ip_network("192.0.0.0/24"), ip_network("168.63.129.16/32"))


def is_public(address: str) -> bool:
    """Tell whether an IP address belongs to the open Internet."""
    ip = ip_address(address)
    if isinstance(ip, IPv6Address):
        return ip in UNICAST and ip.is_global and not any(ip in tunnel for tunnel in TUNNELS)
    return ip.is_global and not ip.is_multicast and not any(ip in network for network in OF_THE_CLOUD)


def is_loopback(address: str) -> bool:
    """Tell whether an IP address is this machine's own."""
    return any(ip_address(address) in network for network in LOOPBACK)


def may_be_called(address: str, scheme: str, *, allow_loopback: bool) -> bool:
    """Tell whether to connect to an IP address: with TLS if it is public; to this machine if that is allowed."""
    return (scheme == "https" and is_public(address)) or (allow_loopback and is_loopback(address))


def check_url(url: str, *, allow_loopback: bool) -> None:
    """Pass if deliveries to a URL have a chance; where its name leads is looked at when one is made.

    Raises:
        UnprocessableError: it never may be called.
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
