"""The outbox in the back-office: to see what waits, and to send again what was parked."""

import pytest

from commerce.core import sql
from commerce.outbox.models import OutboxMessage
from tests.back_office.staff import Staff, told_by
from tests.operations.busy_shop import busy_shop
from tests.shop_state import nothing_changes

pytestmark = pytest.mark.django_db(transaction=True)

CLERK = ("outbox.view_outboxmessage", "outbox.change_outboxmessage")


@pytest.fixture
def messages() -> dict[str, OutboxMessage]:
    """One message of each state."""
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


def send_again(staff: Staff, *chosen: OutboxMessage) -> list[str]:
    answer = staff.post(
        "outbox_outboxmessage_changelist",
        action="send_parked_again",
        _selected_action=[message.pk for message in chosen],
    )
    return told_by(answer)


def test_parked_messages_become_due_again_and_others_stay(messages: dict[str, OutboxMessage]) -> None:
    before = {name: OutboxMessage.objects.get(pk=message.pk) for name, message in messages.items()}
    assert send_again(Staff(*CLERK), *messages.values()) == ["1 message is sent again."]
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


def test_a_second_click_sends_nothing_more(messages: dict[str, OutboxMessage]) -> None:
    clerk = Staff(*CLERK)
    assert send_again(clerk, messages["parked"]) == ["1 message is sent again."]
    clerk.get("outbox_outboxmessage_changelist")
    with nothing_changes():
        assert send_again(clerk, messages["parked"]) == ["0 messages are sent again."]


def test_who_may_only_look_does_not_send(messages: dict[str, OutboxMessage]) -> None:
    onlooker = Staff("outbox.view_outboxmessage")
    with nothing_changes():
        send_again(onlooker, messages["parked"])


def test_the_list_can_be_narrowed_to_one_state(messages: dict[str, OutboxMessage]) -> None:
    clerk = Staff(*CLERK)
    for state in ("parked", "waiting"):
        shown = clerk.get("outbox_outboxmessage_changelist", state=state).context["cl"].queryset
        assert [message.pk for message in shown] == [messages[state].pk]
    sent = clerk.get("outbox_outboxmessage_changelist", state="sent").context["cl"].queryset
    assert sent.count() == OutboxMessage.objects.count() - 2


def test_the_list_can_be_narrowed_to_one_destination(messages: dict[str, OutboxMessage]) -> None:
    clerk = Staff(*CLERK)
    for destination in ("kafka", "data-platform"):
        shown = clerk.get("outbox_outboxmessage_changelist", destination=destination).context["cl"].queryset
        assert shown.count() == OutboxMessage.objects.filter(destination=destination).count() > 0
