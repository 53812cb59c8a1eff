"""E-mail to customers: one session with the mail server per batch.

Owns whom a message is written to, the session's deadline and the meaning of the server's answers; never decides when to
try again. Nothing that it says of a message names an address: an answer's text, which may quote one, is left out.
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
"""After a 4xx about one e-mail. Servers that greylist want minutes, and people as long to empty a mailbox."""
NO_ADDRESS = "not sent: the customer has no e-mail address"
NO_ACCOUNT = "not sent: there is no such account"
NOT_HELD = "not sent: the coupon was used, or its time is over"
_GRACE_SECONDS = 0.2
_ENHANCED = re.compile(rb"\A\s*([245]\.\d{1,3}\.\d{1,3})\b")


class MailSink:
    """Writes to the customer of each event. Customers are not promised an order."""

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
        """Send all that have somebody to go to, within EMAIL_TIMEOUT_SECONDS in all.

        A 250 to DATA is an acknowledgement. What the time did not suffice for was not tried. Raises django.db.Error
        where the database fails.
        """
        if self._session is not None and self._session.is_alive():
            # The session before is stuck where its socket cannot be shut: in the look-up of a name.
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
    """Which messages go to which address, and what became of those that go nowhere."""
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
    """One connection, over which messages go one after the other until all are sent or the time is over."""

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
                # QUIT is a courtesy, within the same deadline; the connection is closed without its answer, too.
                with suppress(Exception):
                    backend.close()

    def outcomes_so_far(self) -> Outcomes:
        """What is known when the time is over; the message under way has had no answer."""
        with self._guard:
            self._is_given_up = True
            if self._tried is not None and self._tried not in self._outcomes:
                self._outcomes[self._tried] = self._failure("No answer in time", away=True)
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
            # No template, an address that no header can hold: sending it again would change nothing.
            return Failure(f"It cannot be written: {type(error).__name__}", refused=True, about_message=True)
        return Acknowledged(self._call(250))

    def _refused(self, what: str, code: int, text: bytes | str) -> Failure:
        """4xx: not now (a full mailbox, greylisting). 5xx: never, so the message is parked."""
        reason = f"The {what} was refused: {_code(code, text)}"
        return Failure(
            reason,
            refused=500 <= code < 600,
            retry_after_seconds=REFUSED_FOR_NOW_SECONDS,
            about_message=True,
            call=self._call(code),
        )

    def _fail(self, error: Exception, *, is_late: bool) -> None:
        """The session failed as a whole: counted for the message under way, the others were not tried."""
        with self._guard:
            if self._tried is None or self._is_given_up:
                return
            if is_late:
                self._outcomes[self._tried] = self._failure("No answer in time", away=True)
            elif isinstance(error, smtplib.SMTPResponseException):
                reason = f"{type(error).__name__}: {_code(error.smtp_code, error.smtp_error)}"
                self._outcomes[self._tried] = self._failure(reason, away=True, code=error.smtp_code)
            else:
                # An operating system's error names the server at most; the library's may quote an answer.
                shown = f": {error.strerror}" if isinstance(error, OSError) and error.strerror else ""
                self._outcomes[self._tried] = self._failure(f"{type(error).__name__}{shown}", away=True)

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

    def _failure(self, reason: str, *, away: bool, code: int | None = None) -> Failure:
        # A mail server may be away for a day. That is no reason to bother staff with every message.
        return Failure(reason, away=away, parks=False, call=self._call(code))

    def _call(self, code: int | None) -> Call:
        return Call(self._began_at, round((time.monotonic() - self._began) * 1_000), code)


def _code(code: int, text: bytes | str) -> str:
    """The reply code, and the enhanced one (RFC 3463) where there is one. Never the text: it may quote an address."""
    enhanced = _ENHANCED.match(text if isinstance(text, bytes) else text.encode())
    return f"{code} {enhanced[1].decode()}" if enhanced else str(code)
