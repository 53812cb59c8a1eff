"""The sink of e-mails to customers: one SMTP session per batch.

Outcomes and logs never contain an e-mail address: the text of a server's reply, which may quote one, is left out.
"""

import os
import re
import smtplib
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import ClassVar

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.utils import timezone

from balances import selectors as accounts
from commerce.mail import smtp
from commerce.mail.emails import email_to, event_of
from commerce.outbox.breaker import Breaker
from commerce.outbox.routes import MAIL
from commerce.outbox.sinks.base import Acknowledged, Call, Failure, Message, Outcome, Outcomes
from commerce.outbox.sinks.deadline import sockets_shut_after
from coupons import selectors as coupons
from coupons.events import COUPON_EXPIRING

BREAKER_FAILURES = 3
REFUSED_FOR_NOW_SECONDS = 300.0
"""The wait after a 4xx reply about one e-mail: greylisting takes minutes, and so does a full mailbox."""
NO_ADDRESS = "not sent: the customer has no e-mail address"
NO_ACCOUNT = "not sent: there is no such account"
NOT_HELD = "not sent: the coupon was used, or its time is over"
_GRACE_SECONDS = 0.2
_ENHANCED = re.compile(rb"\A\s*([245]\.\d{1,3}\.\d{1,3})\b")


class MailSink:
    """Sends an e-mail to the customer of each event, without a guaranteed order."""

    keeps_order: ClassVar[bool] = False
    parks: ClassVar[bool] = True
    largest_batch: ClassVar[int] = 50
    longest_wait_seconds: ClassVar[float] = 60.0

    def __init__(self) -> None:
        self._prepare()
        os.register_at_fork(after_in_child=self._prepare)

    def _prepare(self) -> None:
        self.breaker: Breaker | None = Breaker(
            MAIL, failures=BREAKER_FAILURES, pause_seconds=settings.EMAIL_BREAKER_SECONDS
        )
        self._session: threading.Thread | None = None

    def deliver(self, messages: Sequence[Message]) -> Outcomes:
        """Send all messages whose customer has an address, within EMAIL_TIMEOUT_SECONDS in total.

        A 250 reply to DATA is an acknowledgement. Messages that the time does not suffice for are not tried. Raises
        django.db.Error if the database fails.
        """
        if self._session is not None and self._session.is_alive():
            # The previous session is stuck in name resolution, which cannot be interrupted.
            return {}
        addressed, outcomes = _addressed(messages)
        if addressed:
            session = _Session(addressed)
            self._session = threading.Thread(target=session.run, name="mail-session", daemon=True)
            self._session.start()
            self._session.join(settings.EMAIL_TIMEOUT + _GRACE_SECONDS)
            outcomes |= session.outcomes_so_far()
        return outcomes


def _addressed(messages: Sequence[Message]) -> tuple[list[tuple[Message, str]], dict[int, Outcome]]:
    """The address of each message, and the outcomes of those without one."""
    addresses = accounts.addresses_of({int(message.key) for message in messages})
    expiring = {
        message.id: int(message.event_id.split(":")[1]) for message in messages if message.type == COUPON_EXPIRING
    }
    held = coupons.still_held(expiring.values(), now=timezone.now()) if expiring else set()
    addressed: list[tuple[Message, str]] = []
    outcomes: dict[int, Outcome] = {}
    nothing = Call(timezone.now(), 0)
    for message in messages:
        address = addresses.get(int(message.key))
        if message.id in expiring and expiring[message.id] not in held:
            outcomes[message.id] = Acknowledged(nothing, NOT_HELD)
        elif not address:
            outcomes[message.id] = Acknowledged(nothing, NO_ACCOUNT if address is None else NO_ADDRESS)
        elif not _is_valid(address):
            outcomes[message.id] = Failure("The customer's e-mail address is none", refused=True, about_message=True)
        else:
            addressed.append((message, address))
    return addressed, outcomes


def _is_valid(address: str) -> bool:
    try:
        validate_email(address)
    except ValidationError:
        return False
    return True


class _Session:
    """One SMTP session that sends messages sequentially until all are sent or the time is over."""

    def __init__(self, addressed: Sequence[tuple[Message, str]]) -> None:
        self._addressed = addressed
        self._guard = threading.Lock()
        self._outcomes: dict[int, Outcome] = {}
        self._tried: int | None = addressed[0][0].id
        self._began_at, self._began = timezone.now(), time.monotonic()
        self._is_given_up = False

    def run(self) -> None:
        backend = smtp.backend()
        with sockets_shut_after(settings.EMAIL_TIMEOUT) as deadline:
            try:
                backend.open()
                for message, address in self._addressed:
                    if deadline.is_over or not self._begin(message):
                        return
                    self._end(message, self._sent(backend, message, address))
            except Exception as error:  # noqa: BLE001  # network, TLS, the library: all mean that nothing was taken
                self._fail(error, is_late=deadline.is_over)
            finally:
                # QUIT is optional and has the same deadline; the connection is closed even without a reply.
                with suppress(Exception):
                    backend.close()

    def outcomes_so_far(self) -> Outcomes:
        """The outcomes at the deadline; the message being sent has failed without a reply."""
        with self._guard:
            self._is_given_up = True
            if self._tried is not None and self._tried not in self._outcomes:
                self._outcomes[self._tried] = self._failure("No answer in time", unavailable=True)
            return dict(self._outcomes)

    def _sent(self, backend: smtp.Backend, message: Message, address: str) -> Outcome:
        event = event_of(message.payload)
        try:
            backend.send_messages([email_to(address, event, language=settings.EMAIL_LANGUAGE)])
        except smtplib.SMTPRecipientsRefused as refused:
            return self._refused("recipient", *next(iter(refused.recipients.values())))
        except smtplib.SMTPDataError as refused:
            return self._refused("message", refused.smtp_code, refused.smtp_error)
        except (ValueError, LookupError, UnicodeError) as error:
            # No template, or an address that is invalid in a header: a permanent failure.
            return Failure(f"It cannot be written: {type(error).__name__}", refused=True, about_message=True)
        return Acknowledged(self._call(250))

    def _refused(self, what: str, code: int, text: bytes | str) -> Failure:
        """4xx: temporary (full mailbox, greylisting). 5xx: permanent, so the message is parked."""
        reason = f"The {what} was refused: {_code(code, text)}"
        return Failure(
            reason,
            refused=500 <= code < 600,
            retry_after_seconds=REFUSED_FOR_NOW_SECONDS,
            about_message=True,
            call=self._call(code),
        )

    def _fail(self, error: Exception, *, is_late: bool) -> None:
        """The whole session failed: the message being sent has failed, the others were not tried."""
        with self._guard:
            if self._tried is None or self._is_given_up:
                return
            if is_late:
                self._outcomes[self._tried] = self._failure("No answer in time", unavailable=True)
            elif isinstance(error, smtplib.SMTPResponseException):
                reason = f"{type(error).__name__}: {_code(error.smtp_code, error.smtp_error)}"
                self._outcomes[self._tried] = self._failure(reason, unavailable=True, code=error.smtp_code)
            else:
                # Errors of the operating system contain at most the server's name; the library's may quote a reply.
                shown = f": {error.strerror}" if isinstance(error, OSError) and error.strerror else ""
                self._outcomes[self._tried] = self._failure(f"{type(error).__name__}{shown}", unavailable=True)

    def _begin(self, message: Message) -> bool:
        with self._guard:
            self._tried = message.id
            self._began_at, self._began = timezone.now(), time.monotonic()
            return not self._is_given_up

    def _end(self, message: Message, outcome: Outcome) -> None:
        with self._guard:
            if not self._is_given_up:
                self._outcomes[message.id] = outcome
                self._tried = None

    def _failure(self, reason: str, *, unavailable: bool, code: int | None = None) -> Failure:
        # A mail server may be unavailable for a day, which is no reason to park every message.
        return Failure(reason, unavailable=unavailable, parks=False, call=self._call(code))

    def _call(self, code: int | None) -> Call:
        return Call(self._began_at, round((time.monotonic() - self._began) * 1_000), code)


def _code(code: int, text: bytes | str) -> str:
    """The reply code, and the enhanced one (RFC 3463) if present. Never the text, which may quote an address."""
    enhanced = _ENHANCED.match(text if isinstance(text, bytes) else text.encode())
    return f"{code} {enhanced[1].decode()}" if enhanced else str(code)
