"""Webhook subscriptions in the staff API: permissions, validation, secrets."""

from functools import partial
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.utils import timezone

from balances.models import User
from commerce.audit.models import StaffAction
from commerce.idempotency.models import IdempotencyKey
from commerce.outbox.models import EndReason, OutboxMessage, WebhookSubscription
from commerce.outbox.webhook_dispatcher import WebhookDispatcher
from commerce.webhooks import selectors, services
from tests.factories import StaffFactory, UserFactory
from tests.outbox.conftest import publish_events
from tests.shopper import Shopper
from tests.together import MEETING_SECONDS, PATIENCE_SECONDS, Meeting, together
from tests.webhooks.conftest import subscribe
from tests.webhooks.receiver import Receiver, respond_with

pytestmark = pytest.mark.django_db(transaction=True)

TERMS: dict[str, Any] = {
    "name": "Warehouse",
    "url": "https://partner.example/hooks",
    "eventTypes": ["order-completed", "order-cancelled"],
}


def clerk(*rights: str) -> Shopper:
    """Staff with these permissions of the outbox only."""
    user: User = StaffFactory(is_superuser=False)
    user.user_permissions.set(Permission.objects.filter(content_type__app_label="outbox", codename__in=rights))
    return Shopper(user)


def boss() -> Shopper:
    return clerk(
        "view_webhooksubscription", "add_webhooksubscription", "change_webhooksubscription", "resend_outboxmessage"
    )


class TestRights:
    """Each operation requires its permission."""

    @pytest.mark.parametrize(
        ("method", "path", "body", "right"),
        [
            ("GET", "", b"", "view_webhooksubscription"),
            ("GET", "/{id}", b"", "view_webhooksubscription"),
            ("GET", "/{id}/calls", b"", "view_webhooksubscription"),
            (
                "POST",
                "",
                b'{"name": "A", "url": "https://a.example/", "eventTypes": ["coupon-issued"]}',
                "add_webhooksubscription",
            ),
            ("PATCH", "/{id}", b'{"name": "B"}', "change_webhooksubscription"),
            ("POST", "/{id}/secret", b"{}", "change_webhooksubscription"),
            ("POST", "/{id}/resend", b'{"eventIds": ["order-completed:1"]}', "resend_outboxmessage"),
            ("DELETE", "/{id}", b"", "change_webhooksubscription"),
        ],
    )
    def test_each_operation_requires_its_permission(self, method: str, path: str, body: bytes, right: str) -> None:
        webhook = subscribe("https://partner.example/")
        address = "/api/webhooks" + path.format(id=webhook.pk)
        rights = {
            "view_webhooksubscription",
            "add_webhooksubscription",
            "change_webhooksubscription",
            "resend_outboxmessage",
        }
        before = list(WebhookSubscription.objects.values())
        assert clerk(*(rights - {right})).send(method, address, body).outcome == (403, "permission_denied")
        assert Shopper(UserFactory()).send(method, address, body).outcome == (403, "permission_denied")
        assert Shopper().send(method, address, body).outcome == (401, "not_authenticated")
        assert list(WebhookSubscription.objects.values()) == before
        assert clerk(right).send(method, address, body).status == 200


class TestCreate:
    """Creation of a subscription with its secret."""

    def test_the_secret_is_only_in_the_response(self) -> None:
        staff = boss()
        answer = staff.post("/api/webhooks", TERMS, key="first")
        assert answer.status == 200
        secret, shown = answer.json["secret"], answer.json["webhook"]
        webhook = WebhookSubscription.objects.get()
        assert secret == webhook.secret
        assert "no-store" in answer.headers["Cache-Control"]
        assert shown["eventTypes"] == ["order-cancelled", "order-completed"]
        assert (shown["active"], shown["offBecause"], shown["failingSince"]) == (True, None, None)
        texts = [str(staff.get(path).content) for path in ("/api/webhooks", f"/api/webhooks/{webhook.pk}")]
        kept = [str(bytes(row.body)) for row in IdempotencyKey.objects.all()]
        actions = [f"{action.before} {action.after}" for action in StaffAction.objects.all()]
        assert len(kept) == len(actions) == 1
        assert secret not in " ".join([*texts, *kept, *actions])

    def test_a_repeat_creates_nothing_and_shows_no_secret(self) -> None:
        staff = boss()
        first = staff.post("/api/webhooks", TERMS, key="first")
        again = staff.post("/api/webhooks", TERMS, key="first")
        assert again.replayed
        assert (again.json["webhook"], again.json["secret"]) == (first.json["webhook"], None)
        assert staff.post("/api/webhooks", TERMS | {"name": "Other"}, key="first").outcome == (
            422,
            "idempotency_key_reused",
        )
        assert WebhookSubscription.objects.count() == 1

    def test_ten_concurrent_requests_with_one_key_create_one(self) -> None:
        staff = boss()
        answers = together([lambda: staff.post("/api/webhooks", TERMS, key="same") for _ in range(10)])
        assert WebhookSubscription.objects.count() == 1
        assert {answer.status for answer in answers} <= {200, 409}
        assert sum(answer.status == 200 and answer.json["secret"] is not None for answer in answers) == 1

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"url": "http://partner.example/"}, "url"),
            ({"url": "https://169.254.169.254/"}, "url"),
            ({"url": "https://10.0.0.1/"}, "url"),
            ({"url": "https://partner.example/" + "x" * 500}, "url"),
            ({"url": 5}, "url"),
            ({"name": ""}, "name"),
            ({"name": "x" * 101}, "name"),
            ({"name": "\u202eevil"}, "name"),
            ({"eventTypes": []}, "eventTypes"),
            ({"eventTypes": ["order-completed", "order-completed"]}, "eventTypes"),
            ({"eventTypes": ["coupon-forgotten"]}, "eventTypes"),
            ({"eventTypes": "order-completed"}, "eventTypes"),
            ({"secret": "whsec_mine"}, "secret"),
            ({"active": False}, "active"),
        ],
    )
    def test_invalid_values_are_refused(self, changes: dict[str, Any], field: str, settings: Any) -> None:
        settings.WEBHOOK_ALLOWED_NETWORKS, settings.WEBHOOK_ALLOW_HTTP = [], False
        answer = boss().post("/api/webhooks", TERMS | changes)
        assert answer.outcome == (400, "validation_error")
        assert [error["field"].partition(".")[0].partition("[")[0] for error in answer.json["errors"]] == [field]
        assert WebhookSubscription.objects.count() == 0

    def test_their_number_is_limited(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(services, "MOST_SUBSCRIPTIONS", 2)
        staff = boss()
        assert [staff.post("/api/webhooks", TERMS).status for _ in range(3)] == [200, 200, 409]
        answer = staff.post("/api/webhooks", TERMS)
        assert (answer.outcome, answer.json["most"]) == ((409, "webhook_limit_reached"), 2)
        removed = WebhookSubscription.objects.latest("id")
        staff.send("DELETE", f"/api/webhooks/{removed.pk}")
        assert staff.post("/api/webhooks", TERMS).status == 200


class TestTheLimitInARace:
    """Several members of staff create the last allowed subscription at the same time."""

    @pytest.fixture(autouse=True)
    def room_for_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(services, "MOST_SUBSCRIPTIONS", 3)
        subscribe("https://first.example/")
        subscribe("https://second.example/")

    def test_one_of_many_is_the_last(self) -> None:
        answers = together([partial(boss().post, "/api/webhooks", TERMS) for _ in range(8)])
        outcomes = [answer.outcome for answer in answers]
        assert outcomes.count((200, None)) == 1
        assert outcomes.count((409, "webhook_limit_reached")) == 7
        assert WebhookSubscription.objects.count() == 3

    def counted_at_once(self, monkeypatch: pytest.MonkeyPatch, *, seconds: float) -> tuple[list[int], bool]:
        """Two requests that wait for each other after counting; returns their statuses, and whether they met."""
        meeting, count_all = Meeting(seconds), selectors.webhooks

        class Counted:
            def count(self) -> int:
                number = count_all().count()
                meeting.attend()
                return number

        monkeypatch.setattr(selectors, "webhooks", Counted)
        answers = together([partial(boss().post, "/api/webhooks", TERMS) for _ in range(2)])
        return sorted(answer.status for answer in answers), meeting.took_place

    def test_two_do_not_count_at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert self.counted_at_once(monkeypatch, seconds=MEETING_SECONDS) == ([200, 409], False)
        assert WebhookSubscription.objects.count() == 3

    def test_without_taking_turns_there_are_too_many(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(services, "take_turn", lambda: None)
        assert self.counted_at_once(monkeypatch, seconds=PATIENCE_SECONDS) == ([200, 200], True)
        assert WebhookSubscription.objects.count() == 4


class TestChanges:
    """Changes of subscriptions and their effects."""

    def test_a_new_url_resets_the_failures(self) -> None:
        webhook = subscribe("https://old.example/", failures=9, failing_since=timezone.now())
        answer = boss().send("PATCH", f"/api/webhooks/{webhook.pk}", b'{"url": "https://new.example/"}')
        assert (answer.status, answer.json["url"]) == (200, "https://new.example/")
        webhook.refresh_from_db()
        assert (webhook.failures, webhook.failing_since) == (0, None)
        [action] = StaffAction.objects.filter(action=services.CHANGED)
        assert (action.before, action.after) == ({"url": "https://old.example/"}, {"url": "https://new.example/"})

    def test_switching_off_parks_messages_and_on_resets_failures(self, receiver: Receiver) -> None:
        webhook = subscribe(receiver.url)
        publish_events()
        staff, at = boss(), f"/api/webhooks/{webhook.pk}"
        assert staff.send("PATCH", at, b'{"active": false}').json["offBecause"] == "staff"
        WebhookDispatcher().drain()
        [message] = OutboxMessage.objects.filter(subscription=webhook)
        assert message.parked_at is not None
        assert staff.send("PATCH", at, b'{"active": true}').json["offBecause"] is None
        [event_id] = publish_events()
        WebhookDispatcher().drain()
        assert receiver.ids == [event_id]
        assert staff.post(f"{at}/resend", {"eventIds": [message.event_id, event_id]}).json == {"queued": 2}
        WebhookDispatcher().drain()
        assert sorted(receiver.ids[1:]) == sorted([message.event_id, event_id])

    def test_an_empty_change_changes_nothing(self) -> None:
        webhook = subscribe("https://partner.example/")
        assert boss().send("PATCH", f"/api/webhooks/{webhook.pk}", b"{}").status == 200
        assert not StaffAction.objects.exists()

    def test_rotation_keeps_the_old_secret_for_a_while(self, receiver: Receiver) -> None:
        webhook = subscribe(receiver.url)
        old = webhook.secret
        answer = boss().post(f"/api/webhooks/{webhook.pk}/secret", {"overlapHours": 2})
        new = answer.json["secret"]
        assert new != old
        publish_events()
        WebhookDispatcher().drain()
        [delivery] = receiver.deliveries
        assert delivery.event(new) == delivery.event(old)

    def test_rotation_without_an_overlap_ends_the_old_one(self, receiver: Receiver) -> None:
        webhook = subscribe(receiver.url)
        boss().post(f"/api/webhooks/{webhook.pk}/secret", {"overlapHours": 0})
        webhook.refresh_from_db()
        assert (webhook.previous_secret, webhook.previous_secret_until) == ("", None)

    @pytest.mark.parametrize("hours", [-1, 169, "24", 1.5, True])
    def test_an_invalid_overlap(self, hours: object) -> None:
        webhook = subscribe("https://partner.example/")
        answer = boss().post(f"/api/webhooks/{webhook.pk}/secret", {"overlapHours": hours})
        assert answer.outcome == (400, "validation_error")
        before = webhook.secret
        webhook.refresh_from_db()
        assert webhook.secret == before

    def test_a_removed_one_has_no_secrets(self, receiver: Receiver) -> None:
        webhook = subscribe(receiver.url)
        staff, at = boss(), f"/api/webhooks/{webhook.pk}"
        assert staff.send("DELETE", at).json == {"id": webhook.pk}
        assert staff.get(at).outcome == staff.send("DELETE", at).outcome == (404, "webhook_not_found")
        assert staff.get("/api/webhooks").json["results"] == []
        publish_events()
        WebhookDispatcher().drain()
        webhook.refresh_from_db()
        assert (webhook.secret, webhook.ended_for, receiver.connections) == ("", EndReason.REMOVED, 0)

    def test_calls_are_listed_the_newest_first(self, receiver: Receiver) -> None:
        webhook = subscribe(receiver.url)
        other = subscribe(receiver.url, "order-completed")
        [first] = publish_events()
        WebhookDispatcher().drain()
        receiver.answer = respond_with(500, b"no")
        [second] = publish_events()
        WebhookDispatcher().drain()
        staff = boss()
        calls = staff.get(f"/api/webhooks/{webhook.pk}/calls").json["results"]
        assert [(call["eventId"], call["httpStatus"], call["outcome"], call["error"]) for call in calls] == [
            (second, 500, "refused", "HTTP 500: no"),
            (first, 200, "acknowledged", ""),
        ]
        assert staff.get(f"/api/webhooks/{other.pk}/calls").json["results"] == []
