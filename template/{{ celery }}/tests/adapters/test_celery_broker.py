"""Tests of how the API and the worker connect to the broker."""

import ssl
from collections.abc import Callable

import pytest
from celery import Celery

from app.adapters.job_queue import JobQueueSettings, make_client
from app.settings import Settings
from app.worker import make_app


def client_of_the_api(settings: Settings) -> Celery:
    return make_client(settings.job_queue)


@pytest.mark.parametrize("make", [client_of_the_api, make_app])
@pytest.mark.parametrize(
    ("url", "verified"),
    [
        ("rediss://broker/0", ssl.CERT_REQUIRED),
        ("rediss://broker/0?ssl_ca_certs=/ca.pem", ssl.CERT_REQUIRED),
        ("rediss://broker/0?ssl_cert_reqs=none", ssl.CERT_NONE),
    ],
)
def test_over_tls_the_brokers_certificate_is_verified_unless_the_url_says_otherwise(
    settings: Settings, make: Callable[[Settings], Celery], url: str, verified: ssl.VerifyMode
) -> None:
    job_queue = JobQueueSettings.model_validate({"url": url})
    authorities = {"ssl_ca_certs": "/ca.pem"} if "ssl_ca_certs" in url else {}
    connection = make(settings.model_copy(update={"job_queue": job_queue})).connection_for_read()
    assert connection.ssl == {"ssl_cert_reqs": verified} | authorities


@pytest.mark.parametrize("make", [client_of_the_api, make_app])
def test_without_tls_the_url_is_used_as_it_is(settings: Settings, make: Callable[[Settings], Celery]) -> None:
    assert not make(settings).connection_for_read().ssl
