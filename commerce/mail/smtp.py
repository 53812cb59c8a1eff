"""A session with the mail server that ends in time.

Owns Django's SMTP backend with one deadline for all of a session (`commerce.outbox.sinks.deadline`); never decides what
an answer means. What cannot be shut, the look-up of a name, is left to its thread (`commerce.mail.sink`).
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
    """Has its socket watched as soon as there is one, before greeting and TLS."""

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        used: socket.socket = super()._get_socket(host, port, timeout)  # type: ignore[misc]  # the library's own seam
        return watched(used)


class _TlsConnection(smtplib.SMTP_SSL, _Connection):
    """The same, for TLS from the first byte: SMTP_SSL asks the next class for the socket that it wraps."""


class Backend(EmailBackend):
    """Django's SMTP backend as the EMAIL_* settings say, on watched connections."""

    @property
    def connection_class(self) -> Any:
        return _TlsConnection if self.use_ssl else _Connection

    @cached_property
    def ssl_context(self) -> ssl.SSLContext:
        """The server's certificate is always checked, with the authorities of EMAIL_CA_FILE where it is set."""
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
