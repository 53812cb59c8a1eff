"""A controllable mail server: aiosmtpd, a real SMTP server, on the loopback, that stores what it receives."""

import asyncio
import email
import email.policy
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

from commerce.embedded.ports import LOOPBACK, free_port


@dataclass
class Mailbox:
    """The received e-mails, and the responses to the next ones."""

    port: int = 0
    messages: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    was_tls: list[bool] = field(default_factory=list)
    logins: list[tuple[str, str]] = field(default_factory=list)
    refuse_recipient: str = ""
    refuse_message: str = ""
    hangs: bool = False
    """RCPT is not answered."""
    sessions: int = 0
    speaks_tls_only: bool = False
    """TLS starts with the first byte; the library does not report this for a session."""

    @property
    def message_ids(self) -> list[str]:
        return [str(message["Message-ID"]) for message in self.messages]


class _Handler:
    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox

    async def handle_EHLO(self, server: Any, session: Any, envelope: Any, hostname: str, responses: list[str]) -> Any:  # noqa: N802  # the name is the library's
        session.host_name = hostname
        self._mailbox.sessions += 1
        return responses

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802  # the name is the library's
        if self._mailbox.hangs:
            await asyncio.sleep(3_600)
        if self._mailbox.refuse_recipient:
            return self._mailbox.refuse_recipient
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802  # the name is the library's
        if self._mailbox.refuse_message:
            return self._mailbox.refuse_message
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        self._mailbox.messages.append(message)
        self._mailbox.recipients.extend(envelope.rcpt_tos)
        self._mailbox.was_tls.append(self._mailbox.speaks_tls_only or session.ssl is not None)
        return "250 2.0.0 kept"


@contextmanager
def mailbox_at_work(*, certificate: tuple[str, str] | None = None, implicit: bool = False) -> Iterator[Mailbox]:
    """Run a server on a free port.

    With a certificate (file and key file), STARTTLS and a login are required; with `implicit`, TLS starts with the
    first byte.
    """
    mailbox = Mailbox(port=free_port(), speaks_tls_only=implicit)
    more: dict[str, Any] = {}
    if certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*certificate)

        def authenticate(_server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
            assert isinstance(data, LoginPassword)
            mailbox.logins.append((data.login.decode(), data.password.decode()))
            return AuthResult(success=data.password == b"right", handled=False)

        more = {"authenticator": authenticate}
        if implicit:
            more |= {"ssl_context": context, "auth_require_tls": False}
        else:
            more |= {"tls_context": context, "require_starttls": True, "auth_required": True}
    controller = Controller(_Handler(mailbox), hostname=LOOPBACK, port=mailbox.port, **more)
    controller.start()
    try:
        yield mailbox
    finally:
        controller.stop()
