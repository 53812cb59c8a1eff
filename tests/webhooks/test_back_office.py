"""Webhook subscriptions in the back-office: create, change, rotate, remove; calls; dashboard."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from commerce.idempotency.models import IdempotencyKey
from commerce.outbox.models import EndReason, OutboxMessage, WebhookSubscription
from commerce.outbox.webhook_dispatcher import WebhookDispatcher
from tests.back_office.staff import Page, Staff, errors_of, messages_on
from tests.outbox.conftest import publish_events
from tests.web_forms import fields_of
from tests.webhooks.conftest import subscribe
from tests.webhooks.receiver import Receiver, respond_with

pytestmark = pytest.mark.django_db(transaction=True)

PAGE = "outbox_webhooksubscription"
TERMS = {"name": "Warehouse", "url": "https://partner.example/hooks", "event_types": ["order-completed"]}


@pytest.fixture
def operator() -> Staff:
    """A member of staff with the role `operator`."""
    return Staff(
        *("outbox.view_webhooksubscription", "outbox.add_webhooksubscription", "outbox.change_webhooksubscription"),
        *("outbox.view_outboxmessage", "outbox.view_deliveryattempt", "outbox.resend_outboxmessage"),
    )


def text(page: Page) -> str:
    content: str = page.content.decode()
    return content


def test_a_new_one_shows_its_secret_once(operator: Staff) -> None:
    opened = fields_of(text(operator.get(f"{PAGE}_add")))
    page = operator.post(f"{PAGE}_add", **{**opened, **TERMS})
    webhook = WebhookSubscription.objects.get()
    assert page.status_code == 200
    assert webhook.secret in text(page)
    assert "no-store" in page.headers["Cache-Control"]
    assert (webhook.name, webhook.event_types, webhook.is_active) == ("Warehouse", ["order-completed"], True)
    again = operator.post(f"{PAGE}_add", **{**opened, **TERMS})
    assert again.status_code == 302
    assert WebhookSubscription.objects.count() == 1
    for shown in (
        operator.get(f"{PAGE}_change", webhook.pk),
        operator.get(f"{PAGE}_changelist"),
        operator.get(f"{PAGE}_history", webhook.pk),
    ):
        assert shown.status_code == 200
        assert webhook.secret not in text(shown)
    assert all(webhook.secret.encode() not in bytes(row.body) for row in IdempotencyKey.objects.all())


def test_the_change_page_is_shown_and_saves(operator: Staff) -> None:
    webhook = subscribe("https://partner.example/", "order-completed", "coupon-issued")
    page = operator.get(f"{PAGE}_change", webhook.pk)
    assert page.status_code == 200
    form = page.context["adminform"].form
    assert form["event_types"].value() == ["coupon-issued", "order-completed"]
    assert fields_of(text(page))["is_active"] == "on"
    saved = operator.press(f"{PAGE}_change", webhook.pk, name="Other", event_types=["order-cancelled", "coupon-issued"])
    assert saved.status_code == 302, errors_of(saved)
    webhook.refresh_from_db()
    assert (webhook.name, webhook.event_types, webhook.is_active) == (
        "Other",
        ["coupon-issued", "order-cancelled"],
        True,
    )


def test_a_stale_form_is_refused(operator: Staff) -> None:
    webhook = subscribe("https://partner.example/")
    opened = fields_of(text(operator.get(f"{PAGE}_change", webhook.pk)))
    WebhookSubscription.objects.filter(pk=webhook.pk).update(event_types=["order-completed"])
    answer = operator.post(f"{PAGE}_change", webhook.pk, **{**opened, "name": "Late"})
    assert "__all__" in errors_of(answer)
    webhook.refresh_from_db()
    assert webhook.name == "Partner"


@pytest.mark.parametrize("url", ["http://10.0.0.1/", "https://169.254.169.254/", "ftp://partner.example/", "partner"])
def test_a_forbidden_url_is_refused(operator: Staff, url: str) -> None:
    answer = operator.press(f"{PAGE}_add", **TERMS | {"url": url})
    assert list(errors_of(answer)) == ["url"]
    assert not WebhookSubscription.objects.exists()


def test_it_is_switched_off_and_on_by_a_checkbox(operator: Staff) -> None:
    webhook = subscribe("https://partner.example/")
    assert operator.press(f"{PAGE}_change", webhook.pk, is_active=None).status_code == 302
    webhook.refresh_from_db()
    assert (webhook.is_active, webhook.ended_for) == (False, EndReason.STAFF)
    assert operator.press(f"{PAGE}_change", webhook.pk, is_active="on").status_code == 302
    webhook.refresh_from_db()
    assert (webhook.is_active, webhook.ended_for) == (True, "")


def test_a_new_secret_is_shown_once(operator: Staff) -> None:
    webhook = subscribe("https://partner.example/")
    opened = fields_of(text(operator.get(f"{PAGE}_rotate", webhook.pk)))
    values = {**opened, "reason": "Leaked.", "overlap_hours": "5"}
    page = operator.post(f"{PAGE}_rotate", webhook.pk, **values)
    old = webhook.secret
    webhook.refresh_from_db()
    assert webhook.previous_secret == old
    assert webhook.secret in text(page)
    again = operator.post(f"{PAGE}_rotate", webhook.pk, **values)
    assert again.status_code == 302
    secret = webhook.secret
    webhook.refresh_from_db()
    assert webhook.secret == secret, "the second press makes none"


def test_it_is_removed(operator: Staff) -> None:
    webhook = subscribe("https://partner.example/")
    assert operator.press(f"{PAGE}_remove", webhook.pk, reason="Contract ended.").status_code == 302
    assert "Partner" not in text(operator.get(f"{PAGE}_changelist"))
    assert operator.get(f"{PAGE}_rotate", webhook.pk).status_code == 404


def test_its_page_shows_calls_and_resends_parked_messages(operator: Staff, receiver: Receiver) -> None:
    webhook = subscribe(receiver.url)
    [event_id] = publish_events()
    receiver.answer = respond_with(500, b"broken down")
    WebhookDispatcher().drain()
    page = text(operator.get(f"{PAGE}_change", webhook.pk))
    assert "1 message waits." in page
    assert "The next call is due at" in page
    OutboxMessage.objects.filter(subscription=webhook).update(parked_at=timezone.now())
    page = text(operator.get(f"{PAGE}_change", webhook.pk))
    assert "HTTP 500: broken down" in page
    assert event_id in page
    assert "1 message is parked." in page
    assert "waits" not in page
    receiver.answer = respond_with(200)
    WebhookSubscription.objects.update(next_call_at=timezone.now())
    answer = operator.press(f"{PAGE}_send_parked", webhook.pk, reason="They say it works.")
    assert messages_on(answer) == ["1 message will be sent again."]
    WebhookDispatcher().drain()
    assert receiver.ids == [event_id, event_id]


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({"is_active": False, "ended_for": EndReason.FAILING}, "was switched off: failed for too long"),
        ({"is_active": False, "ended_for": EndReason.GONE}, "was switched off: the receiver answered 410 Gone"),
        ({"failing_since": timedelta(hours=2)}, "has failed for 2"),
    ],
)
def test_the_dashboard_shows_failing_subscriptions(operator: Staff, columns: dict[str, object], sentence: str) -> None:
    now = timezone.now()
    values = {name: now - value if isinstance(value, timedelta) else value for name, value in columns.items()}
    if values.get("is_active") is False:
        values["ended_at"] = now
    webhook = subscribe("https://partner.example/", name="Depot", **values)
    page = text(operator.get("index"))
    assert "Depot" in page
    assert sentence in page.replace("\xa0", " ").replace("&nbsp;", " ")
    assert reverse(f"admin:{PAGE}_change", args=[webhook.pk]) in page


def test_the_dashboard_shows_parked_messages(operator: Staff) -> None:
    webhook = subscribe("https://partner.example/", name="Depot")
    publish_events()
    assert "Depot" not in text(operator.get("index"))
    OutboxMessage.objects.filter(subscription=webhook).update(parked_at=timezone.now())
    assert "Events for the webhook “Depot” are parked." in text(operator.get("index"))


def test_without_the_permission_the_dashboard_shows_nothing() -> None:
    subscribe("https://partner.example/", name="Depot", failing_since=timezone.now() - timedelta(days=1))
    assert "Depot" not in text(Staff("outbox.view_outboxmessage").get("index"))
