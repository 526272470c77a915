"""Whom this process believes when it calls other servers."""

import ssl
from functools import cache

import httpx2


@cache
def tls_context() -> ssl.SSLContext:
    """Return the certificate authorities of this machine or of `SSL_CERT_FILE`: read once, as that takes 30 ms."""
    return httpx2.create_ssl_context()
