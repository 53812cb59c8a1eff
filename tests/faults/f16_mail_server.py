"""F16d: the mail server is paused, refuses, or is cut off before its answer, while orders are placed."""

from collections.abc import Callable, Sequence
from functools import cache

from django.utils import timezone

from commerce.core import sql
from commerce.embedded.ports import LOOPBACK
from commerce.mail.emails import message_id
from commerce.mail.sink import MailSink
from commerce.outbox.sinks.base import Acknowledged, Failure, Message, Outcomes
from tests.faults.fault import Fault, NotFired, Run
from tests.faults.proxy import Proxy
from tests.faults.shop import Variant
from tests.mail.mailbox import Mailbox, mailbox_at_work

_HAPPENS_WITHIN_SECONDS = 15.0
_WORKS_WITHIN_SECONDS = 40.0
_LATEST_SECONDS = 3.0
"""How old a message to another destination may become meanwhile."""
_FROM = "Shop <orders@shop.example>"

# By the response, not by its interpretation in the shop: the control treats every attempt as success.
_FAILED_SINCE = """
    SELECT count(*) FROM delivery_attempt
    WHERE destination = 'mail' AND attempted_at > %s AND http_status IS NULL AND error NOT LIKE 'not sent%%'
"""
_SENT_SINCE = (
    "SELECT count(*) FROM delivery_attempt WHERE destination = 'mail' AND attempted_at > %s AND http_status = 250"
)
_OTHERS_WAIT_SECONDS = """
    SELECT coalesce(extract(epoch FROM now() - min(created_at)), 0)::float8 FROM outbox_message
    WHERE destination <> 'mail' AND sent_at IS NULL AND parked_at IS NULL
"""
_SAID_TO_BE_SENT = """
    SELECT event_id FROM outbox_message AS message
    WHERE destination = 'mail' AND sent_at IS NOT NULL
      AND NOT EXISTS (SELECT FROM delivery_attempt WHERE message_id = message.id AND error LIKE 'not sent%%')
"""


@cache
def _mail_server() -> tuple[Mailbox, Proxy]:
    """One server for all runs of this process; it is stopped at its end."""
    at_work = mailbox_at_work()
    mailbox = at_work.__enter__()
    _kept.append(at_work)
    return mailbox, Proxy(LOOPBACK, mailbox.port)


_kept: list[object] = []


class MailServerInTrouble(Fault):
    """Orders and all other destinations are not affected; each e-mail is delivered in the end."""

    number = "F16d"
    title = "mail server paused, down, disconnected"
    protection = "an e-mail is done only when the mail server has taken it"
    control_shows = "never reached a mailbox"
    gap_seconds = (0.2, 0.5)
    sells_on = True
    slowest_order_seconds = 3.0
    patience_seconds = 60.0
    most_shots = 6

    def variant(self) -> Variant:
        return self._variant()

    def control(self) -> Variant:
        return self._variant("tests.faults.f16_mail_server.mail_server_believed_blindly")

    def strike(self, run: Run) -> str:
        sql.execute("""UPDATE "user" SET email = 'user' || id || '@customer.example' WHERE email = ''""")
        _mailbox, proxy = _mail_server()
        ways: list[Callable[[Run, Proxy], str]] = [_freezes, _refuses, _is_cut_off]
        run.random.shuffle(ways)
        seen = []
        for way in ways:
            seen.append(way(run, proxy))
            proxy.pass_on()
            _works_again(run)
        return ", ".join(seen)

    def heal(self, run: Run) -> None:
        _mail_server()[1].pass_on()

    def judge(self, run: Run) -> list[str]:
        arrived = set(_mail_server()[0].message_ids)
        rows = sql.fetch_all(_SAID_TO_BE_SENT)
        if not rows:
            return ["nothing was sent by mail at all"]
        return [f"{event_id} never reached a mailbox" for (event_id,) in rows if _written(event_id) not in arrived]

    def _variant(self, *patches: str) -> Variant:
        settings = {
            "EMAIL_HOST": LOOPBACK,
            "EMAIL_PORT": str(_mail_server()[1].port),
            "EMAIL_SECURITY": "none",
            "EMAIL_FROM": _FROM,
            # With a breaker of one second, so that a run does not mostly wait.
            "EMAIL_TIMEOUT_SECONDS": "1",
            "EMAIL_BREAKER_SECONDS": "1",
        }
        return Variant(settings=settings, patches=patches)


def _written(event_id: str) -> str:
    return message_id(event_id).partition("@")[0] + "@shop.example>"


def _freezes(run: Run, proxy: Proxy) -> str:
    failed = _fails(run, proxy.stall)
    # Paused for longer than the timeout of a session, so that any blocking would become visible.
    latest, until = 0.0, timezone.now().timestamp() + 3.0
    while timezone.now().timestamp() < until:
        run.pause(0.1)
        row = sql.fetch_one(_OTHERS_WAIT_SECONDS)
        latest = max(latest, row[0] if row else 0.0)
    if latest > _LATEST_SECONDS:
        run.wrong.append(f"a message to another destination waited for {latest:.1f} s while the mail server was frozen")
    return f"frozen {failed}, others waited {latest:.1f} s"


def _refuses(run: Run, proxy: Proxy) -> str:
    return f"refused {_fails(run, proxy.refuse)}"


def _is_cut_off(run: Run, proxy: Proxy) -> str:
    """Cut off after the last line of an e-mail: it was delivered, but not acknowledged."""
    before = proxy.answers_lost
    proxy.lose_answer_to(b"\r\n.\r\n")
    if not run.wait_until(lambda: proxy.answers_lost > before, seconds=_HAPPENS_WITHIN_SECONDS):
        raise NotFired("no e-mail was cut off from its answer")
    return "cut off 1"


def _works_again(run: Run) -> None:
    """Wait until an e-mail was sent. The backoff has grown meanwhile and would hide the next failure."""
    began_at = timezone.now()

    def has_sent() -> bool:
        row = sql.fetch_one(_SENT_SINCE, [began_at])
        return bool(row and row[0])

    if not run.wait_until(has_sent, seconds=_WORKS_WITHIN_SECONDS):
        run.wrong.append("no e-mail went out after the mail server worked again")


def _fails(run: Run, begin: Callable[[], object]) -> int:
    """Start the fault; returns the number of failed sessions since then, once there is one. Raises NotFired."""
    began_at = timezone.now()
    begin()
    failed = 0

    def has_failed() -> bool:
        nonlocal failed
        row = sql.fetch_one(_FAILED_SINCE, [began_at])
        failed = row[0] if row else 0
        return failed > 0

    if not run.wait_until(has_failed, seconds=_HAPPENS_WITHIN_SECONDS):
        raise NotFired("no session failed while the mail server was in trouble")
    return failed


def mail_server_believed_blindly() -> None:
    """An e-mail counts as delivered once it was attempted."""
    deliver = MailSink.deliver

    def believe(self: MailSink, messages: Sequence[Message]) -> Outcomes:
        return {
            message_id: Acknowledged(outcome.call) if isinstance(outcome, Failure) and outcome.call else outcome
            for message_id, outcome in deliver(self, messages).items()
        }

    MailSink.deliver = believe  # type: ignore[method-assign]  # that is the point
