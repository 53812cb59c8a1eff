"""Notices to holders of coupons that expire soon: once for each held coupon, never for a used one."""

import re
from datetime import timedelta
from functools import partial
from typing import Any
from unittest import mock

import pytest
from django.core.management import call_command
from django.utils import timezone
from pytest_django import Settings

from commerce.core import sql
from commerce.idempotency.commit import Idempotency
from commerce.mail.sink import NOT_HELD
from commerce.outbox.dispatcher import Dispatcher
from commerce.outbox.models import DeliveryAttempt, OutboxMessage
from commerce.outbox.purge import purge_outbox
from commerce.outbox.routes import MAIL
from coupons import operations
from coupons.models import ExpiryNotice, UserCoupon
from coupons.services import notice_expiring
from orders.services import place_order
from tests.books import broken_rules
from tests.factories import ProductFactory, UserCouponFactory, UserFactory
from tests.mail.mailbox import Mailbox
from tests.together import Meeting, another_session, together

pytestmark = pytest.mark.django_db(transaction=True)


def held(*, days: float = 2, **values: object) -> UserCoupon:
    unit = UserCouponFactory(user=UserFactory(email="mina@customer.example", balance=50_000), **values)
    unit.expires_at = timezone.now() + timedelta(days=days)
    unit.save(update_fields=["expires_at"])
    return unit


def notified() -> list[int]:
    """The id of the user coupon in each message."""
    messages = OutboxMessage.objects.filter(type="coupon-expiring", destination=MAIL).order_by("id")
    return [int(message.event_id.split(":")[1]) for message in messages]


def test_coupons_that_expire_within_the_days_are_notified_once(mailbox: Mailbox) -> None:
    soon, _later, _over = held(days=2.9), held(days=3.1), held(days=-0.1)
    assert notice_expiring(days=3) == 1
    assert notice_expiring(days=3) == 0
    assert notified() == [soon.pk]
    Dispatcher(MAIL).drain()
    [message] = mailbox.messages
    assert message["Subject"] == f"Your coupon “{soon.coupon.name}” expires soon"
    assert broken_rules() == set()


def test_also_after_the_message_was_purged(mailbox: Mailbox) -> None:
    held()
    notice_expiring(days=3)
    Dispatcher(MAIL).drain()
    purge_outbox(now=timezone.now() + timedelta(hours=1), older_than_hours=0)
    assert notice_expiring(days=3) == 0
    assert notified() == []


def test_a_used_coupon_is_not_notified(mailbox: Mailbox) -> None:
    unit = held()
    product = ProductFactory(price=20_000, stock=5)
    place_order(
        user_id=unit.user_id, quantities={product.pk: 1}, user_coupon_id=unit.pk, idempotency=Idempotency.none()
    )
    assert notice_expiring(days=3) == 0
    assert ExpiryNotice.objects.count() == 0


def test_a_coupon_used_while_the_message_waits_is_not_notified(mailbox: Mailbox) -> None:
    unit = held()
    assert notice_expiring(days=3) == 1
    product = ProductFactory(price=20_000, stock=5)
    place_order(
        user_id=unit.user_id, quantities={product.pk: 1}, user_coupon_id=unit.pk, idempotency=Idempotency.none()
    )
    Dispatcher(MAIL).drain()
    assert [message["Subject"][:10] for message in mailbox.messages] == ["Your order"]
    assert DeliveryAttempt.objects.filter(error=NOT_HELD).count() == 1


def test_without_email_no_coupon_is_marked_as_notified(settings: Settings) -> None:
    settings.EMAIL_HOST = ""
    held()
    assert notice_expiring(days=3) == 0
    assert ExpiryNotice.objects.count() == 0


def test_0_days_disable_notices() -> None:
    held()
    assert notice_expiring(days=0) == 0


def test_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "NOTICES_AT_ONCE", 2)
    units = [held() for _ in range(5)]
    batches: list[int] = []
    assert notice_expiring(days=3, on_batch=batches.append) == 5
    assert batches == [2, 2, 1]
    assert notified() == [unit.pk for unit in units]


def test_a_failed_batch_is_notified_by_the_next_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """The notice and the message are written in one transaction."""
    unit = held()
    with mock.patch.object(operations, "publish", side_effect=RuntimeError), pytest.raises(RuntimeError):
        notice_expiring(days=3)
    assert (notified(), ExpiryNotice.objects.count()) == ([], 0)
    notice_expiring(days=3)
    assert notified() == [unit.pk]


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    held()
    call_command("notice_expiring_coupons", json=True)
    assert capsys.readouterr().out == '{"notified": 1}\n'


def test_a_coupon_locked_by_an_order_is_skipped() -> None:
    unit, other = held(), held()
    with another_session() as session:
        session.execute("SELECT 1 FROM user_coupon WHERE id = %s FOR NO KEY UPDATE", [unit.pk])
        assert notice_expiring(days=3) == 1
    assert notified() == [other.pk]
    assert notice_expiring(days=3) == 1


def at_one_moment(meeting: Meeting) -> list[int]:
    """Two runs that both read before one writes."""
    fetch = sql.fetch_all

    def look_and_wait(statement: str, values: Any) -> list[Any]:
        rows = fetch(statement, values)
        meeting.attend()
        return rows

    with mock.patch.object(sql, "fetch_all", look_and_wait):
        return together([partial(notice_expiring, days=3)] * 2)


def test_concurrent_runs_notify_each_holder_once() -> None:
    units = [held() for _ in range(20)]
    counts = together([partial(notice_expiring, days=3)] * 8)
    assert sum(counts) == 20
    assert sorted(notified()) == [unit.pk for unit in units]
    assert broken_rules() == set()


def test_control_without_the_primary_key_they_are_notified_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: SELECT and INSERT as two statements, without a lock."""
    naive = operations.NOTICE.replace("FOR NO KEY UPDATE SKIP LOCKED", "")
    naive = re.sub(
        r"INSERT .* RETURNING user_coupon_id", "SELECT id AS user_coupon_id FROM due", naive, flags=re.DOTALL
    )
    assert "INSERT" not in naive
    monkeypatch.setattr(operations, "NOTICE", naive)
    unit = held()
    meeting = Meeting()
    at_one_moment(meeting)
    assert meeting.took_place
    assert notified() == [unit.pk] * 2


def test_the_primary_key_alone_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "NOTICE", operations.NOTICE.replace("FOR NO KEY UPDATE SKIP LOCKED", ""))
    unit = held()
    counts = together([partial(notice_expiring, days=3)] * 8)
    assert sum(counts) == 1
    assert notified() == [unit.pk]
