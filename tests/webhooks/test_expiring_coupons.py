"""`coupon-expiring` to its subscribers, also while e-mail is off: once, and without personal data."""

from datetime import timedelta

import pytest
from django.utils import timezone
from pytest_django import Settings

from commerce.outbox.models import EndReason, OutboxMessage
from commerce.outbox.routes import MAIL, WEBHOOKS
from commerce.outbox.webhook_dispatcher import WebhookDispatcher
from coupons.models import ExpiryNotice, UserCoupon
from coupons.services import notice_expiring
from tests.books import broken_rules
from tests.factories import UserCouponFactory, UserFactory
from tests.webhooks.conftest import subscribe
from tests.webhooks.receiver import Receiver

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def without_mail(settings: Settings) -> None:
    settings.EMAIL_HOST = ""


@pytest.fixture
def unit() -> UserCoupon:
    """A user coupon that expires in two days."""
    holder = UserFactory(username="mina-kim", email="mina@customer.example", first_name="Mina", last_name="Kimberley")
    unit: UserCoupon = UserCouponFactory(user=holder)
    unit.expires_at = timezone.now() + timedelta(days=2)
    unit.save(update_fields=["expires_at"])
    return unit


def test_subscribers_are_notified_once_without_personal_data(receiver: Receiver, unit: UserCoupon) -> None:
    webhook = subscribe(receiver.url, "coupon-expiring")
    subscribe(receiver.url, "coupon-issued", name="Other")
    assert notice_expiring(days=3) == 1
    assert notice_expiring(days=3) == 0
    [message] = OutboxMessage.objects.all()
    assert (message.type, message.destination, message.subscription_id) == ("coupon-expiring", WEBHOOKS, webhook.pk)
    WebhookDispatcher().drain()
    [delivery] = receiver.deliveries
    event = delivery.event(webhook.secret)
    assert (event["type"], event["id"]) == ("coupon-expiring", delivery.id)
    assert event["data"].keys() == {
        *("userId", "userCouponId", "couponId", "name", "discountType", "discountValue", "maxDiscount"),
        *("minOrderAmount", "expiresAt"),
    }
    assert (event["data"]["userId"], event["data"]["userCouponId"]) == (unit.user_id, unit.pk)
    for personal in ("mina", "Mina", "Kimberley", "customer.example"):
        assert personal not in delivery.body.decode()
    assert broken_rules() == set()


def test_beside_the_e_mail_to_the_holder(settings: Settings, unit: UserCoupon) -> None:
    settings.EMAIL_HOST = "127.0.0.1"
    subscribe("https://partner.example/", "coupon-expiring")
    assert notice_expiring(days=3) == 1
    destinations = OutboxMessage.objects.values_list("destination", flat=True)
    assert sorted(destinations) == [MAIL, WEBHOOKS]


def test_without_subscribers_no_notice_is_recorded(unit: UserCoupon) -> None:
    webhook = subscribe(
        "https://partner.example/",
        "coupon-expiring",
        is_active=False,
        ended_for=EndReason.STAFF,
        ended_at=timezone.now(),
    )
    subscribe("https://partner.example/", "coupon-issued", name="Other")
    assert notice_expiring(days=3) == 0
    assert ExpiryNotice.objects.count() == 0
    webhook.is_active, webhook.ended_for, webhook.ended_at = True, "", None
    webhook.save()
    assert notice_expiring(days=3) == 1
    assert ExpiryNotice.objects.get().user_coupon_id == unit.pk
