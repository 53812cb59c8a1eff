"""A session with the mail server that ends in time.

Owns Django's SMTP backend with one deadline for all of a session; never decides what an answer means.

The time limits of a socket begin anew with every byte, so at the deadline the socket is shut from outside. What cannot
be shut, the look-up of a name, is left to its thread (`commerce.mail.sink`).
"""

import os
import smtplib
import socket
import ssl
import threading
from contextlib import suppress
from functools import cached_property
from typing import Any

from django.conf import settings
from django.core.mail.backends.smtp import EmailBackend


class Deadline:
    """Shuts the sockets of one session when its time is over."""

    def __init__(self, seconds: float) -> None:
        self._guard = threading.Lock()
        self._sockets: list[socket.socket] = []
        self.is_over = False
        self._timer = threading.Timer(seconds, self._shut)
        self._timer.daemon = True
        self._timer.start()

    def watch(self, used: socket.socket) -> socket.socket:
        """Shut `used` at the deadline, or now where it has passed."""
        # A descriptor of our own: the session gives its socket to TLS, or closes it, whenever it likes.
        ours = socket.socket(fileno=os.dup(used.fileno()))
        with self._guard:
            self._sockets.append(ours)
            over = self.is_over
        if over:
            self._shut()
        return used

    def end(self) -> None:
        self._timer.cancel()
        with self._guard:
            for ours in self._sockets:
                ours.close()
            self._sockets.clear()

    def _shut(self) -> None:
        with self._guard:
            self.is_over = True
            for ours in self._sockets:
                with suppress(OSError):
                    ours.shutdown(socket.SHUT_RDWR)


class _Current(threading.local):
    """The deadline of the session that runs on this thread."""

    deadline: Deadline | None = None


current = _Current()


class _Connection(smtplib.SMTP):
    """Has its socket watched as soon as there is one, before greeting and TLS."""

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        used: socket.socket = super()._get_socket(host, port, timeout)  # type: ignore[misc]  # the library's own seam
        return current.deadline.watch(used) if current.deadline else used


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
