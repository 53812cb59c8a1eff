"""F16e: a subscriber's server is paused, refuses, or is disconnected before its response, while orders are placed."""

from collections.abc import Callable, Sequence
from functools import cache

from django.utils import timezone

from commerce.core import sql
from commerce.embedded.ports import LOOPBACK
from commerce.outbox.models import WebhookSubscription
from commerce.outbox.routes import WEBHOOKS, event_types_to
from commerce.outbox.sinks.base import Acknowledged, Failure, Message, Outcomes
from commerce.outbox.sinks.webhooks import WebhookSink, new_secret
from tests.faults.fault import Fault, NotFired, Run
from tests.faults.proxy import Proxy
from tests.faults.shop import Variant
from tests.webhooks.receiver import Receiver, receiver_at_work

_HAPPENS_WITHIN_SECONDS = 15.0
_WORKS_WITHIN_SECONDS = 40.0
_LATEST_SECONDS = 3.0
"""How old a message to another subscription, or to another destination, may become meanwhile."""
_TROUBLED, _HEALTHY = "troubled", "healthy"

# By the response, not by its interpretation in the shop: the control treats every response as success.
_FAILED_SINCE = """
    SELECT count(*) FROM delivery_attempt AS call JOIN webhook_subscription AS subscription
        ON subscription.id = call.subscription_id
    WHERE name = 'troubled' AND attempted_at > %s AND http_status IS NULL
"""
_SENT_SINCE = """
    SELECT count(*) FROM delivery_attempt AS call JOIN webhook_subscription AS subscription
        ON subscription.id = call.subscription_id
    WHERE name = 'troubled' AND attempted_at > %s AND http_status = 200
"""
_OTHERS_WAIT_SECONDS = """
    SELECT coalesce(extract(epoch FROM now() - min(message.created_at)), 0)::float8
    FROM outbox_message AS message LEFT JOIN webhook_subscription AS subscription ON subscription.id = subscription_id
    WHERE name IS DISTINCT FROM 'troubled' AND sent_at IS NULL AND parked_at IS NULL
"""
_SAID_TO_BE_SENT = """
    SELECT name, event_id FROM outbox_message JOIN webhook_subscription AS subscription
        ON subscription.id = subscription_id
    WHERE sent_at IS NOT NULL
"""


@cache
def _receivers() -> tuple[Receiver, Proxy, Receiver]:
    """The failing receiver, the proxy in front of it, and a healthy receiver, for all runs of this process."""
    troubled, healthy = receiver_at_work(), receiver_at_work()
    _kept.extend([troubled, healthy])
    first, second = troubled.__enter__(), healthy.__enter__()
    return first, Proxy(LOOPBACK, first.port), second


_kept: list[object] = []


class SubscriberInTrouble(Fault):
    """Orders, other destinations and the other subscriber are not affected; every event is delivered in the end."""

    number = "F16e"
    title = "webhook receiver paused, down, disconnected"
    protection = "an event is done only when its receiver has acknowledged it"
    control_shows = "never reached"
    gap_seconds = (0.2, 0.5)
    sells_on = True
    slowest_order_seconds = 3.0
    patience_seconds = 60.0
    most_shots = 6

    def variant(self) -> Variant:
        return self._variant()

    def control(self) -> Variant:
        return self._variant("tests.faults.f16_webhooks.receivers_believed_blindly")

    def strike(self, run: Run) -> str:
        _, proxy, healthy = _receivers()
        _subscribe(_TROUBLED, f"http://{LOOPBACK}:{proxy.port}/hooks")
        _subscribe(_HEALTHY, healthy.url)
        ways: list[Callable[[Run, Proxy], str]] = [_freezes, _refuses, _is_cut_off]
        run.random.shuffle(ways)
        seen = []
        for way in ways:
            seen.append(way(run, proxy))
            proxy.pass_on()
            _works_again(run)
        return ", ".join(seen)

    def heal(self, run: Run) -> None:
        _receivers()[1].pass_on()

    def judge(self, run: Run) -> list[str]:
        troubled, _proxy, healthy = _receivers()
        arrived = {_TROUBLED: set(troubled.ids), _HEALTHY: set(healthy.ids)}
        rows = sql.fetch_all(_SAID_TO_BE_SENT)
        if not rows:
            return ["nothing was sent to a webhook at all"]
        return [f"{event_id} never reached {name}" for name, event_id in rows if event_id not in arrived[name]]

    def _variant(self, *patches: str) -> Variant:
        settings = {
            "WEBHOOK_ALLOW_HTTP": "true",
            "WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",
            # With a probe per second, so that a run does not mostly wait.
            "WEBHOOK_TIMEOUT_SECONDS": "1",
        }
        return Variant(settings=settings, patches=patches)


def _subscribe(name: str, url: str) -> None:
    if not WebhookSubscription.objects.filter(name=name).exists():
        WebhookSubscription.objects.create(
            name=name, url=url, event_types=sorted(event_types_to(WEBHOOKS)), secret=new_secret()
        )


def _freezes(run: Run, proxy: Proxy) -> str:
    failed = _fails(run, proxy.stall)
    # Paused for longer than the timeout of a call, so that blocking would be visible.
    latest, until = 0.0, timezone.now().timestamp() + 3.0
    while timezone.now().timestamp() < until:
        run.pause(0.1)
        row = sql.fetch_one(_OTHERS_WAIT_SECONDS)
        latest = max(latest, row[0] if row else 0.0)
    if latest > _LATEST_SECONDS:
        run.wrong.append(f"a message to somebody else waited for {latest:.1f} s while a receiver was frozen")
    return f"frozen {failed}, others waited {latest:.1f} s"


def _refuses(run: Run, proxy: Proxy) -> str:
    return f"refused {_fails(run, proxy.refuse)}"


def _is_cut_off(run: Run, proxy: Proxy) -> str:
    """Disconnected after the request was received and before its response."""
    before = proxy.answers_lost
    proxy.lose_answer_to(b"webhook-id")
    if not run.wait_until(lambda: proxy.answers_lost > before, seconds=_HAPPENS_WITHIN_SECONDS):
        raise NotFired("no call was cut off from its answer")
    return "cut off 1"


def _works_again(run: Run) -> None:
    """Wait until a call has succeeded: the backoff has grown, and would hide the next fault."""
    began_at = timezone.now()

    def has_sent() -> bool:
        row = sql.fetch_one(_SENT_SINCE, [began_at])
        return bool(row and row[0])

    if not run.wait_until(has_sent, seconds=_WORKS_WITHIN_SECONDS):
        run.wrong.append("no event arrived after the receiver worked again")


def _fails(run: Run, begin: Callable[[], object]) -> int:
    """Start the fault; returns the number of failed calls since then, once there is one. Raises NotFired."""
    began_at = timezone.now()
    begin()
    failed = 0

    def has_failed() -> bool:
        nonlocal failed
        row = sql.fetch_one(_FAILED_SINCE, [began_at])
        failed = row[0] if row else 0
        return failed > 0

    if not run.wait_until(has_failed, seconds=_HAPPENS_WITHIN_SECONDS):
        raise NotFired("no call failed while the receiver was in trouble")
    return failed


def receivers_believed_blindly() -> None:
    """An event counts as delivered once it was sent, whatever the response."""
    deliver = WebhookSink.deliver

    def believe(self: WebhookSink, messages: Sequence[Message]) -> Outcomes:
        return {
            message_id: Acknowledged(outcome.call) if isinstance(outcome, Failure) and outcome.call else outcome
            for message_id, outcome in deliver(self, messages).items()
        }

    WebhookSink.deliver = believe  # type: ignore[method-assign]  # that is the point
