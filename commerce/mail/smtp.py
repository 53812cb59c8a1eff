"""Django's SMTP backend with one deadline for a whole session (`commerce.outbox.sinks.deadline`).

Name resolution cannot be interrupted; `commerce.mail.sink` runs sessions in a thread for that reason.
"""

import smtplib
import socket
import ssl
from functools import cached_property
from typing import Any

from django.conf import settings
from django.core.mail.backends.smtp import EmailBackend

from commerce.outbox.sinks.deadline import watched


class _Connection(smtplib.SMTP):
    """Registers its socket with the deadline before greeting and TLS."""

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        used: socket.socket = super()._get_socket(host, port, timeout)  # type: ignore[misc]  # the library's own seam
        return watched(used)


class _TlsConnection(smtplib.SMTP_SSL, _Connection):
    """The same for implicit TLS: SMTP_SSL wraps the socket that the next class in the MRO creates."""


class Backend(EmailBackend):
    """Django's SMTP backend with the EMAIL_* settings and connections with a deadline."""

    @property
    def connection_class(self) -> Any:
        return _TlsConnection if self.use_ssl else _Connection

    @cached_property
    def ssl_context(self) -> ssl.SSLContext:
        """The server's certificate is always verified, with the CA certificates of EMAIL_CA_FILE if set."""
        return ssl.create_default_context(cafile=settings.EMAIL_CA_FILE or None)


def backend() -> Backend:
    return Backend(
        host=settings.EMAIL_HOST,
        port=settings.EMAIL_PORT,
        username=settings.EMAIL_HOST_USER,
        password=settings.EMAIL_HOST_PASSWORD,
        use_tls=settings.EMAIL_USE_TLS,
        use_ssl=settings.EMAIL_USE_SSL,
        timeout=settings.EMAIL_TIMEOUT,
    )
