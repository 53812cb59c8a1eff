"""`manage.py load_demo`: loads the demo data once; the invariants hold."""

from datetime import datetime, timedelta
from io import StringIO
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth import authenticate
from django.core.management import CommandError, call_command
from django.db.models import F, Sum
from django.utils import timezone

from balances.models import EntryType, LedgerEntry, User
from commerce.core import sql
from commerce.demo.catalogue import (
    INACTIVE_ID,
    LIMITED,
    NEARLY_SOLD_OUT,
    NOT_YET_OPEN,
    OPEN_FIXED,
    OPEN_PERCENT,
    PASSED,
)
from commerce.demo.rows import rows_of
from commerce.demo.week import plan_week
from commerce.idempotency.commit import Idempotency
from commerce.invariants.check import invariants, snapshot, violation_of
from commerce.notes.models import Note
from commerce.outbox.models import DeliveryAttempt, DeliveryOutcome, OutboxMessage, WebhookSubscription
from commerce.outbox.webhook_dispatcher import WebhookDispatcher
from commerce.webhooks.admin import FAILING, state_of
from commerce.webhooks.selectors import in_trouble
from coupons.errors import CouponNotOpen
from coupons.models import Coupon, UserCoupon
from coupons.selectors import open_coupons
from coupons.services import issue_coupon
from orders.models import Order, OrderItem, OrderStatus, Refund
from orders.services import cancel_order, place_order
from products.models import Product
from products.selectors import PRODUCT_LIST
from reservations.models import Reservation
from stats.models import ProductStat
from tests.factories import UserFactory
from tests.shop_state import nothing_changes

SEOUL = ZoneInfo("Asia/Seoul")


def violations(*, quiet_system: bool) -> list[str]:
    """The names of the violated invariants. The messages to the demo's unavailable webhook are never delivered."""
    # Without the time limit of requests, which a busy machine may exceed.
    with snapshot():
        found = [violation_of(invariant) for invariant in invariants(quiet_system=quiet_system)]
    return [violation.invariant.name for violation in found if violation]


def load(*arguments: str) -> str:
    out = StringIO()
    call_command("load_demo", *arguments, stdout=out)
    return out.getvalue()


@pytest.mark.django_db(transaction=True)
def test_the_demo_is_loaded_once_and_the_invariants_hold() -> None:
    output = load()
    assert output == (
        "Demo loaded: customer1 to customer1000 (password customer), staff admin (password admin),"
        " viewer, support, merchandiser, finance, operator (password staff).\n"
    )
    assert violations(quiet_system=True) == ["nothing_is_pending"]
    assert not OutboxMessage.objects.exclude(destination="webhooks").exists()
    with nothing_changes():
        assert load() == "The demo data is loaded already; nothing was changed.\n"


@pytest.mark.django_db(transaction=True)
def test_a_shop_with_data_is_not_changed() -> None:
    UserFactory(username="customer1")
    with nothing_changes():
        with pytest.raises(CommandError, match="The database already contains rows") as refusal:
            load()
        assert refusal.value.returncode == 1
        assert load("--if-empty") == "The database already contains rows; nothing was changed.\n"


@pytest.mark.django_db
def test_customers_and_staff_can_log_in() -> None:
    load()
    assert list(User.objects.order_by("id").values_list("id", "username")) == [
        *((number, f"customer{number}") for number in range(1, 1001)),
        (1001, "admin"),
        *enumerate(("viewer", "support", "merchandiser", "finance", "operator"), start=1002),
    ]
    assert User.objects.filter(balance__gt=0).count() == 1000
    customer = authenticate(username="customer777", password="customer")
    assert isinstance(customer, User)
    assert (customer.pk, customer.is_staff) == (777, False)
    admin = authenticate(username="admin", password="admin")
    assert isinstance(admin, User)
    assert (admin.pk, admin.is_staff, admin.is_superuser) == (1001, True, True)
    finance = authenticate(username="finance", password="staff")
    assert isinstance(finance, User)
    assert (finance.is_staff, finance.is_superuser) == (True, False)
    assert finance.has_perms(["balances.adjust_balance", "orders.export_order"])
    assert not finance.has_perm("products.adjust_stock")


@pytest.mark.django_db(transaction=True)
def test_products_and_coupons_are_in_all_states() -> None:
    load()
    assert list(Product.objects.values_list("id", flat=True)) == list(range(1, 51))
    assert Product.objects.get(id=1).name == "제주 감귤 주스 1L / Jeju Tangerine Juice 1L"
    assert list(Product.objects.filter(stock=0).values_list("id", "is_active")) == [(13, True)]
    assert list(Product.objects.filter(is_active=False).values_list("id", flat=True)) == [INACTIVE_ID]
    now = timezone.now()
    assert [coupon.id for coupon in open_coupons(now)] == [OPEN_FIXED, OPEN_PERCENT, NEARLY_SOLD_OUT]
    assert [coupon.id for coupon in open_coupons(now + timedelta(days=29))] == [1, 2, 3, 5]
    states = Coupon.objects.values_list("id", "discount_type", "max_discount", "total_quantity", "issued_count")
    assert list(states) == [
        (OPEN_FIXED, "FIXED", None, 100, 0),
        (OPEN_PERCENT, "PERCENT", 10_000, 5_000, 300),
        (NOT_YET_OPEN, "PERCENT", 20_000, 500, 0),
        (PASSED, "FIXED", None, 200, 150),
        (NEARLY_SOLD_OUT, "FIXED", None, 100, 98),
    ]
    for closed in (NOT_YET_OPEN, PASSED):
        with pytest.raises(CouponNotOpen):
            issue_coupon(user_id=1000, coupon_id=closed, idempotency=Idempotency.none())


@pytest.mark.django_db
def test_a_week_of_orders_has_something_to_show() -> None:
    load()
    today = timezone.localdate()
    by_day = [Order.objects.filter(ordered_date=today - timedelta(days=ago)).count() for ago in range(7)]
    assert by_day == [60] * 7
    assert Order.objects.filter(status=OrderStatus.CANCELLED).count() == 40
    assert Order.objects.filter(user_coupon__isnull=False).count() == 190
    assert Order.objects.filter(created_at__gt=timezone.now()).count() == 0
    assert set(Order.objects.filter(user_id=1).values_list("status", flat=True)) == {"COMPLETED", "CANCELLED"}
    assert UserCoupon.objects.filter(user_id=1).count() == 3
    assert set(LedgerEntry.objects.filter(user_id=1).values_list("type", flat=True)) == {
        EntryType.CHARGE,
        EntryType.PAYMENT,
        EntryType.REFUND,
    }
    assert ProductStat.objects.filter(date__gte=today - timedelta(days=3)).values("product").distinct().count() >= 5


@pytest.mark.django_db
def test_every_job_of_the_back_office_has_something_to_show() -> None:
    load()
    assert Refund.objects.filter(restock=True).exists()
    assert Refund.objects.filter(restock=False).exists()
    assert Order.objects.filter(status="COMPLETED", refunded_units__gt=0).count() == Refund.objects.count() == 34
    statuses = set(Reservation.objects.values_list("status", flat=True))
    assert statuses == {"HELD", "PAID", "RELEASED", "REPLACED", "EXPIRED"}
    assert Note.objects.filter(pinned=True).exists()
    assert DeliveryAttempt.objects.filter(destination="webhooks", outcome=DeliveryOutcome.REFUSED).exists()
    limited = Product.objects.filter(purchase_limit__isnull=False)
    assert dict(limited.values_list("id", "purchase_limit")) == LIMITED
    bought = OrderItem.objects.filter(product__in=limited, order__status="COMPLETED").values("order__user", "product")
    units = bought.annotate(kept=Sum(F("quantity") - F("refunded_quantity")))
    assert units.exists()
    assert not units.filter(kept__gt=F("product__purchase_limit")).exists()


@pytest.mark.django_db
def test_the_webhook_has_failed_for_hours_and_its_messages_wait() -> None:
    load()
    now = timezone.now()
    webhook = WebhookSubscription.objects.get()
    assert state_of(webhook) == FAILING
    assert in_trouble(now, most=5) == [webhook]
    assert webhook.failing_since is not None
    assert timedelta(hours=3) <= now - webhook.failing_since <= timedelta(hours=12)
    messages = OutboxMessage.objects.filter(subscription=webhook).order_by("id")
    assert messages.filter(sent_at__isnull=False).count() == 9
    first, *others = messages.filter(sent_at__isnull=True)
    later = Order.objects.filter(status=OrderStatus.COMPLETED, created_at__gt=first.created_at)
    assert [message.created_at for message in others] == list(later.order_by("id").values_list("created_at", flat=True))
    assert [message.attempts for message in others] == [0] * later.count()
    assert not DeliveryAttempt.objects.filter(message__in=others).exists()
    calls = list(DeliveryAttempt.objects.filter(message=first).order_by("id"))
    assert len(calls) == first.attempts == webhook.failures == 9
    assert (calls[0].attempted_at, first.last_error) == (webhook.failing_since, calls[-1].error)
    assert [call.attempted_at for call in calls] == sorted(call.attempted_at for call in calls)
    assert calls[-1].attempted_at < now
    assert DeliveryOutcome.ACKNOWLEDGED not in {call.outcome for call in calls}
    # Not called before staff have looked at it.
    assert webhook.next_call_at > now + timedelta(minutes=4)
    assert not WebhookDispatcher().anything_due()


@pytest.mark.django_db(transaction=True)
def test_the_shop_works_with_the_demo_data() -> None:
    load()
    user_coupon = issue_coupon(user_id=1, coupon_id=OPEN_FIXED, idempotency=Idempotency.none())
    order = place_order(user_id=1, quantities={1: 2}, user_coupon_id=user_coupon.id, idempotency=Idempotency.none())
    cancel_order(order_id=order.id, owner_id=1, idempotency=Idempotency.none())
    assert (user_coupon.id, order.id) == (549, 421)
    assert violations(quiet_system=False) == []


@pytest.mark.django_db(transaction=True)
def test_a_cached_product_list_is_invalidated() -> None:
    assert PRODUCT_LIST.page(variant="all", ttl_seconds=60, render=lambda: b"empty").body == b"empty"
    load()
    assert PRODUCT_LIST.page(variant="all", ttl_seconds=60, render=lambda: b"fifty").body == b"fifty"


@pytest.mark.django_db
@pytest.mark.parametrize(
    "now",
    [
        datetime(2026, 3, 2, 0, 0, 0, tzinfo=SEOUL),
        datetime(2026, 3, 2, 0, 0, 1, tzinfo=SEOUL),
        datetime(2026, 3, 2, 13, 30, tzinfo=SEOUL),
        datetime(2026, 3, 2, 23, 59, 59, 999_999, tzinfo=SEOUL),
    ],
    ids=["midnight", "a second later", "noon", "before midnight"],
)
def test_the_week_is_valid_at_any_hour(now: datetime) -> None:
    rows = rows_of(plan_week(), now)
    assert len(rows.orders) == 420
    for order in rows.orders:
        assert order.ordered_date == order.created_at.astimezone(SEOUL).date()
        assert now.date() - timedelta(days=6) <= order.ordered_date <= now.date()
        assert order.created_at <= (order.cancelled_at or order.created_at) <= now
    assert [order.created_at for order in rows.orders] == sorted(order.created_at for order in rows.orders)
    assert [entry.id for entry in rows.ledger] == list(range(1, len(rows.ledger) + 1))
    assert [entry.created_at for entry in rows.ledger] == sorted(entry.created_at for entry in rows.ledger)
    assert min(entry.balance_after for entry in rows.ledger) >= 0
    assert min(product.stock for product in rows.products) == 0
    assert all(held.issued_at <= order.created_at for order in rows.orders if (held := order.user_coupon))
    assert all(order.created_at < held.expires_at for order in rows.orders if (held := order.user_coupon))


@pytest.mark.django_db
def test_every_load_has_the_same_names_prices_and_quantities() -> None:
    now = timezone.now()
    first, second = rows_of(plan_week(), now), rows_of(plan_week(), now + timedelta(days=40, hours=7))
    for table in ("users", "products", "coupons", "items", "stats"):
        assert [described(row) for row in getattr(first, table)] == [described(row) for row in getattr(second, table)]
    assert [(order.paid_amount, order.status) for order in first.orders] == [
        (order.paid_amount, order.status) for order in second.orders
    ]


def described(row: object) -> tuple[object, ...]:
    fields = (
        "id",
        "username",
        "balance",
        "name",
        "price",
        "stock",
        "issued_count",
        "unit_price",
        "quantity",
        "quantity_sold",
    )
    return tuple(getattr(row, field, None) for field in fields)


@pytest.mark.django_db
def test_sequences_follow_the_given_ids() -> None:
    load()
    for table, last in (("user", 1006), ("product", 50), ("coupon", 5), ("order", 420)):
        row = sql.fetch_one(f"SELECT nextval(pg_get_serial_sequence('\"{table}\"', 'id'))")
        assert row == (last + 1,)
