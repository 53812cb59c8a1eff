"""The outbox's pages: states, errors and payloads; and the audit records of sending again."""

import json
import re
from datetime import datetime
from typing import Any

import pytest
from django.db import DatabaseError

from commerce.audit.models import StaffAction
from commerce.core import sql
from commerce.outbox import admin as outbox_admin
from commerce.outbox.models import DeliveryAttempt, OutboxMessage
from commerce.outbox.routes import KAFKA, event_types_to
from tests.api.test_database_unavailable import on_a_session_with
from tests.back_office.staff import Page, Staff, messages_on
from tests.operations.busy_shop import busy_shop
from tests.shop_state import nothing_changes, statements
from tests.together import row_held, together

NONE_READY = "None of them can be sent again: they are waiting, or were sent to Kafka."
pytestmark = pytest.mark.django_db(transaction=True)

CLERK = ("outbox.view_outboxmessage", "outbox.resend_outboxmessage", "outbox.view_deliveryattempt")


@pytest.fixture
def parked() -> list[OutboxMessage]:
    """Three messages to the data platform, parked after twelve attempts."""
    busy_shop()
    messages = list(OutboxMessage.objects.filter(destination="data-platform").order_by("id")[:3])
    sql.execute(
        "UPDATE outbox_message SET sent_at = NULL, parked_at = now() - interval '3 hours', attempts = 12,"
        " last_error = 'HTTP 503: <b>later</b>' WHERE id = ANY(%s)",
        [[message.pk for message in messages]],
    )
    return messages


def send_again(staff: Staff, *chosen: OutboxMessage, **more: Any) -> Page:
    return staff.post(
        "outbox_outboxmessage_changelist",
        action="send_again",
        reason="Try again",
        _selected_action=[message.pk for message in chosen],
        **more,
    )


def sent_again() -> list[StaffAction]:
    return list(StaffAction.objects.filter(subject_type="outbox.outboxmessage").order_by("id"))


class TestWrittenDown:
    def test_each_message_has_its_own_record(self, parked: list[OutboxMessage]) -> None:
        clerk = Staff(*CLERK)
        since = {message.pk: OutboxMessage.objects.get(pk=message.pk).parked_at for message in parked}
        assert messages_on(send_again(clerk, *parked)) == ["3 messages are queued."]
        assert [
            (
                *(action.actor_id, action.action, int(action.subject_id)),
                *(datetime.fromisoformat(action.before["parked_at"]), action.before["attempts"], action.after),
            )
            for action in sent_again()
        ] == [
            (clerk.user.pk, "Sent again", message.pk, since[message.pk], 12, {"parked_at": None, "attempts": 0})
            for message in parked
        ]

    def test_messages_that_are_not_resent_are_not_recorded(self, parked: list[OutboxMessage]) -> None:
        clerk = Staff(*CLERK)
        to_kafka = OutboxMessage.objects.filter(destination="kafka")[0]
        with nothing_changes():
            assert messages_on(send_again(clerk, to_kafka)) == [NONE_READY]

    def test_without_its_record_nothing_is_resent(
        self, parked: list[OutboxMessage], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def no_room(*_arguments: Any, **_values: Any) -> None:
            raise DatabaseError("no room")

        clerk = Staff(*CLERK)
        clerk.client.raise_request_exception = False
        monkeypatch.setattr("commerce.outbox.resend.record", no_room)
        with nothing_changes():
            assert send_again(clerk, *parked).status_code == 500

    def test_a_message_locked_for_long_is_left_for_later(self, parked: list[OutboxMessage]) -> None:
        clerk = Staff(*CLERK)
        with nothing_changes(), row_held("outbox_message", parked[0].pk):
            answer: Page = on_a_session_with("lock_timeout", 50, lambda: send_again(clerk, *parked))
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
        assert "Busy, try again" in answer.content.decode()

    def test_two_concurrent_requests_resend_it_once(self, parked: list[OutboxMessage]) -> None:
        clerks = [Staff(*CLERK), Staff(*CLERK)]
        answers = together([lambda clerk=clerk: send_again(clerk, *parked) for clerk in clerks])  # type: ignore[misc]
        assert sorted(messages_on(answer) for answer in answers) == [
            ["3 messages are queued."],
            [NONE_READY],
        ]
        assert len(sent_again()) == 3

    def test_it_is_in_the_history_of_the_message(self, parked: list[OutboxMessage]) -> None:
        clerk = Staff(*CLERK)
        send_again(clerk, parked[0])
        history = clerk.get("outbox_outboxmessage_history", parked[0].pk).content.decode()
        assert "Sent again" in history
        assert clerk.user.username in history

    def test_it_requires_the_resend_permission(self, parked: list[OutboxMessage]) -> None:
        onlooker = Staff("outbox.view_outboxmessage", "outbox.change_outboxmessage")
        with nothing_changes():
            send_again(onlooker, *parked)
        page = onlooker.get("outbox_outboxmessage_change", parked[0].pk).content.decode()
        assert 'value="send_again"' not in page

    def test_too_many_messages_are_refused(self, parked: list[OutboxMessage], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(outbox_admin, "MOST_AT_ONCE", 2)
        clerk = Staff(*CLERK)
        with nothing_changes():
            assert messages_on(send_again(clerk, *parked)) == [
                "At most 2 messages at a time; manage.py outbox_retry sends any number again."
            ]
        clerk.get("outbox_outboxmessage_changelist")
        assert messages_on(send_again(clerk, *parked[:2])) == ["2 messages are queued."]

    def test_all_filtered_messages_can_be_selected(self, parked: list[OutboxMessage]) -> None:
        clerk = Staff(*CLERK)
        answer = clerk.client.post(
            "/admin/outbox/outboxmessage/?state=parked",
            {"action": "send_again", "_selected_action": [parked[0].pk], "select_across": "1", "reason": "All"},
        )
        assert messages_on(answer) == ["3 messages are queued."]


class TestShown:
    def test_a_payload_is_shown_indented(self, parked: list[OutboxMessage]) -> None:
        message = OutboxMessage.objects.get(pk=parked[0].pk)
        page = Staff(*CLERK).get("outbox_outboxmessage_change", message.pk)
        shown = page.context["adminform"].model_admin.readable_payload(message)
        readable = json.dumps(json.loads(message.payload), indent=2, ensure_ascii=False)
        assert "\n    &quot;status&quot;: &quot;COMPLETED&quot;" in shown
        assert readable.count("\n") > 20
        assert str(shown) in page.content.decode()

    def test_a_payload_that_is_not_json_is_shown_unchanged(self, parked: list[OutboxMessage]) -> None:
        sql.execute("UPDATE outbox_message SET payload = '{torn' WHERE id = %s", [parked[0].pk])
        page = Staff(*CLERK).get("outbox_outboxmessage_change", parked[0].pk).content.decode()
        assert '<pre class="bo-code">{torn</pre>' in page

    def test_responses_of_destinations_are_escaped(self, parked: list[OutboxMessage]) -> None:
        clerk = Staff(*CLERK)
        for page in (
            clerk.get("outbox_outboxmessage_change", parked[0].pk),
            clerk.get("outbox_outboxmessage_changelist", state="parked"),
        ):
            shown = page.content.decode()
            assert "HTTP 503: &lt;b&gt;later&lt;/b&gt;" in shown
            assert "<b>later</b>" not in shown

    def test_a_state_is_a_coloured_label(self, parked: list[OutboxMessage]) -> None:
        clerk = Staff(*CLERK)
        for page in (
            clerk.get("outbox_outboxmessage_change", parked[0].pk),
            clerk.get("outbox_outboxmessage_changelist", state="parked"),
        ):
            label = re.search(r'<span class="([^"]*)"[^>]*>\s*parked\s*</span>', page.content.decode())
            assert label is not None
            assert "bg-red-100" in label[1]

    def test_a_long_error_is_truncated_in_the_list_only(self, parked: list[OutboxMessage]) -> None:
        sql.execute("UPDATE outbox_message SET last_error = %s WHERE id = %s", ["x" * 1_000, parked[0].pk])
        clerk = Staff(*CLERK)
        listed = clerk.get("outbox_outboxmessage_changelist", state="parked").content.decode()
        assert "x" * 199 + "…" in listed
        assert "x" * 200 not in listed
        assert "x" * 1_000 in clerk.get("outbox_outboxmessage_change", parked[0].pk).content.decode()

    def test_a_parked_message_shows_its_time_and_button(self, parked: list[OutboxMessage]) -> None:
        page = Staff(*CLERK).get("outbox_outboxmessage_change", parked[0].pk).content.decode()
        assert "after 12 attempts." in page
        assert "Send again" in page

    def test_types_of_the_chosen_destination_are_offered(self) -> None:
        busy_shop()
        clerk = Staff(*CLERK)

        def offered(**query: str) -> list[str]:
            page = clerk.get("outbox_outboxmessage_changelist", **query)
            [types] = [spec for spec in page.context["cl"].filter_specs if spec.parameter_name == "type"]
            return [name for name, _label in types.lookup_choices]

        assert offered() == [*event_types_to(KAFKA), "coupon-expiring"]
        assert offered(destination="data-platform") == ["order-completed", "order-cancelled", "order-refunded"]
        shown = clerk.get("outbox_outboxmessage_changelist", type="coupon-issued").context["cl"].queryset
        assert {message.type for message in shown} == {"coupon-issued"}
        assert shown.count() == 2

    def test_the_list_loads_no_payloads(self) -> None:
        busy_shop()
        with statements() as ran:
            Staff(*CLERK).get("outbox_outboxmessage_changelist")
            Staff(*CLERK).get("outbox_deliveryattempt_changelist")
        reading = [statement for statement in ran if "outbox_message" in statement]
        assert reading
        assert not [statement for statement in reading if '"payload"' in statement]

    def test_the_log_of_a_message_is_on_its_page(self, parked: list[OutboxMessage]) -> None:
        [attempt] = DeliveryAttempt.objects.filter(message=parked[0])
        page = Staff(*CLERK).get("outbox_outboxmessage_change", parked[0].pk).content.decode()
        assert "acknowledged" in page
        whole = Staff(*CLERK).get("outbox_deliveryattempt_change", attempt.pk).content.decode()
        assert parked[0].event_id in whole
