"""The outbox in the back-office: filters, delivery attempts, sending again."""

import pytest
from django.utils import timezone
from pytest_django import Settings

from commerce.core import sql
from commerce.outbox import local_dispatch
from commerce.outbox.models import DeliveryAttempt, OutboxMessage
from commerce.outbox.sinks.base import sink_of
from tests.back_office.staff import Staff, messages_on
from tests.operations.busy_shop import busy_shop
from tests.outbox.partner import partner_at_work
from tests.shop_state import nothing_changes
from tests.together import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

CLERK = ("outbox.view_outboxmessage", "outbox.resend_outboxmessage")


@pytest.fixture
def messages() -> dict[str, OutboxMessage]:
    """One message in each state."""
    busy_shop()
    sent, parked, waiting = OutboxMessage.objects.order_by("id")[:3]
    sql.execute(
        "UPDATE outbox_message SET sent_at = NULL, parked_at = now(), attempts = 12, last_error = '500',"
        " next_attempt_at = now() + interval '1 hour' WHERE id = %s",
        [parked.pk],
    )
    sql.execute(
        "UPDATE outbox_message SET sent_at = NULL, attempts = 3, next_attempt_at = now() + interval '1 hour'"
        " WHERE id = %s",
        [waiting.pk],
    )
    return {"sent": sent, "parked": parked, "waiting": waiting}


NONE_READY = "None of them can be sent again: they are waiting, or were sent to Kafka."


def send_again(staff: Staff, *chosen: OutboxMessage) -> list[str]:
    answer = staff.post(
        "outbox_outboxmessage_changelist",
        action="send_again",
        reason="Try again",
        _selected_action=[message.pk for message in chosen],
    )
    return messages_on(answer)


def test_parked_messages_become_due_again(messages: dict[str, OutboxMessage]) -> None:
    before = {name: OutboxMessage.objects.get(pk=message.pk) for name, message in messages.items()}
    assert send_again(Staff(*CLERK), *messages.values()) == ["1 message is queued."]
    parked = OutboxMessage.objects.get(pk=messages["parked"].pk)
    assert (parked.parked_at, parked.sent_at, parked.attempts, parked.last_error) == (None, None, 0, "500")
    assert parked.next_attempt_at < before["parked"].next_attempt_at
    for name in ("sent", "waiting"):
        after = OutboxMessage.objects.get(pk=messages[name].pk)
        assert (after.sent_at, after.attempts, after.next_attempt_at) == (
            before[name].sent_at,
            before[name].attempts,
            before[name].next_attempt_at,
        )


def test_a_second_click_sends_nothing(messages: dict[str, OutboxMessage]) -> None:
    clerk = Staff(*CLERK)
    assert send_again(clerk, messages["parked"]) == ["1 message is queued."]
    clerk.get("outbox_outboxmessage_changelist")
    with nothing_changes():
        assert send_again(clerk, messages["parked"]) == [NONE_READY]


def test_viewers_may_not_send_again(messages: dict[str, OutboxMessage]) -> None:
    onlooker = Staff("outbox.view_outboxmessage")
    with nothing_changes():
        send_again(onlooker, messages["parked"])


def test_the_list_is_filtered_by_state(messages: dict[str, OutboxMessage]) -> None:
    clerk = Staff(*CLERK)
    for state in ("parked", "waiting"):
        shown = clerk.get("outbox_outboxmessage_changelist", state=state).context["cl"].queryset
        assert [message.pk for message in shown] == [messages[state].pk]
    sent = clerk.get("outbox_outboxmessage_changelist", state="sent").context["cl"].queryset
    assert sent.count() == OutboxMessage.objects.count() - 2


def test_the_list_is_filtered_by_destination(messages: dict[str, OutboxMessage]) -> None:
    clerk = Staff(*CLERK)
    for destination in ("kafka", "data-platform"):
        shown = clerk.get("outbox_outboxmessage_changelist", destination=destination).context["cl"].queryset
        assert shown.count() == OutboxMessage.objects.filter(destination=destination).count() > 0


@pytest.fixture
def to_data_platform(messages: dict[str, OutboxMessage]) -> OutboxMessage:
    """A sent message with a failed call and a successful one."""
    message = OutboxMessage.objects.filter(destination="data-platform", sent_at__isnull=False).first()
    assert message is not None
    DeliveryAttempt.objects.filter(message=message).delete()
    for status, outcome, error in ((503, "refused", "HTTP 503: later"), (200, "acknowledged", "")):
        DeliveryAttempt.objects.create(
            message=message,
            destination="data-platform",
            attempted_at=timezone.now(),
            duration_ms=41,
            http_status=status,
            outcome=outcome,
            error=error,
        )
    return message


def test_a_sent_message_to_the_data_platform_can_be_resent(to_data_platform: OutboxMessage) -> None:
    assert send_again(Staff(*CLERK), to_data_platform) == ["1 message is queued."]
    to_data_platform.refresh_from_db()
    assert (to_data_platform.sent_at, to_data_platform.attempts) == (None, 0)


def test_a_sent_message_to_kafka_cannot_be_resent(messages: dict[str, OutboxMessage]) -> None:
    """It would arrive after later messages of its key."""
    sent = OutboxMessage.objects.filter(destination="kafka", sent_at__isnull=False).first()
    assert sent is not None
    clerk = Staff(*CLERK)
    with nothing_changes():
        assert send_again(clerk, sent) == [NONE_READY]


def test_the_page_of_a_message_shows_its_attempts(to_data_platform: OutboxMessage) -> None:
    clerk = Staff(*CLERK, "outbox.view_deliveryattempt")
    page = clerk.get("outbox_outboxmessage_change", to_data_platform.pk).content.decode()
    assert "HTTP 503: later" in page
    assert page.count('<tr class="form-row') == 2
    assert '<input type="hidden" name="action" value="send_again">' in page
    assert f'<input type="hidden" name="_selected_action" value="{to_data_platform.pk}">' in page
    send_again(clerk, to_data_platform)
    waiting = clerk.get("outbox_outboxmessage_change", to_data_platform.pk).content.decode()
    assert 'value="send_again"' not in waiting, "it is on its way"


def test_viewers_have_no_button(to_data_platform: OutboxMessage) -> None:
    page = Staff("outbox.view_outboxmessage").get("outbox_outboxmessage_change", to_data_platform.pk)
    assert 'value="send_again"' not in page.content.decode()


def test_the_log_is_filtered(to_data_platform: OutboxMessage) -> None:
    clerk = Staff(superuser=True)

    def shown(**query: str) -> list[int | None]:
        rows = clerk.get("outbox_deliveryattempt_changelist", **query).context["cl"].queryset
        return [row.http_status for row in rows.filter(message=to_data_platform)]

    assert shown() == [200, 503]
    assert shown(outcome__exact="refused") == shown(status="5") == [503]
    assert shown(outcome__exact="acknowledged") == shown(status="2") == [200]
    assert shown(status="3") == []
    assert shown(status="²") == [200, 503], "what no filter offers is ignored"
    assert shown(q=to_data_platform.event_id) == [200, 503]
    assert shown(q=to_data_platform.event_id.rpartition(":")[0]) == [200, 503], "the number of the order is enough"
    assert shown(q="order-completed:0") == []


def test_a_resent_message_is_sent_at_once(to_data_platform: OutboxMessage, settings: Settings) -> None:
    """The dispatcher of the web process is woken at once."""
    settings.OUTBOX_DISPATCH_IN_WEB = True
    with partner_at_work() as partner:
        settings.DATA_PLATFORM_URL = partner.url
        try:
            send_again(Staff(*CLERK), to_data_platform)
            wait_until(lambda: to_data_platform.event_id in partner.keys, "the call")
            sent = OutboxMessage.objects.filter(pk=to_data_platform.pk, sent_at__isnull=False)
            wait_until(sent.exists, "the message to be marked")
        finally:
            local_dispatch.stop()
            sink_of.cache_clear()
