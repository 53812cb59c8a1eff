"""`manage.py load_demo --orders N`: a year of orders of any number; the invariants hold."""

from collections import Counter
from datetime import datetime, timedelta
from io import StringIO
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth import authenticate
from django.core.management import CommandError, call_command
from django.db.models import Count, F, Max, Min, Q, Sum
from django.utils import timezone
from pytest_django import Settings

from balances.models import LedgerEntry, User
from commerce.core import sql
from commerce.demo import large
from commerce.demo.assortment import DAYS, VARIANT_LIMIT, Assortment
from commerce.demo.catalogue import OPEN_FIXED
from commerce.demo.dates import Calendar
from commerce.demo.load import Outcome, load_large_demo
from commerce.demo.rows import coupon_of
from commerce.demo.year import Year
from commerce.demo.year_rows import Tables, YearRows
from commerce.idempotency.commit import Idempotency
from commerce.invariants.check import altered_ledgers, invariants, violation_of
from commerce.invariants.rule import Violation
from commerce.outbox.models import DeliveryAttempt, OutboxMessage
from coupons.models import Coupon, UserCoupon
from coupons.services import issue_coupon
from orders.models import Order, OrderItem, Refund
from orders.services import cancel_order, place_order
from products.models import Product, StockMovement
from stats.models import ProductStat
from tests.factories import UserFactory
from tests.shop_state import nothing_changes

SEOUL = ZoneInfo("Asia/Seoul")


def load(orders: object = 300, *arguments: str) -> str:
    out = StringIO()
    call_command("load_demo", "--orders", str(orders), *arguments, stdout=out)
    return out.getvalue()


@pytest.mark.django_db(transaction=True)
def test_the_year_is_loaded_once_and_the_invariants_hold(settings: Settings) -> None:
    settings.DATA_PLATFORM_URL = "http://127.0.0.1:9/events"
    output = load()
    assert output == (
        "Demo loaded: customer1 to customer1000 (password customer), staff admin (password admin),"
        " viewer, support, merchandiser, finance, operator (password staff).\n"
    )
    assert violations(quiet_system=True) == []
    with nothing_changes():
        assert load() == "The demo data is loaded already; nothing was changed.\n"


@pytest.mark.django_db(transaction=True)
def test_the_shop_works_with_the_demo_data() -> None:
    load()
    user_coupon = issue_coupon(user_id=1, coupon_id=OPEN_FIXED, idempotency=Idempotency.none())
    order = place_order(user_id=1, quantities={1: 2}, user_coupon_id=user_coupon.id, idempotency=Idempotency.none())
    cancel_order(order_id=order.id, owner_id=1, idempotency=Idempotency.none())
    assert (user_coupon.id, order.id) == (1003, 301)
    assert violations(quiet_system=False) == []
    assert set(Product.objects.values_list("created_at", flat=True)) == {
        StockMovement.objects.earliest("id").created_at,
    }
    customer = authenticate(username="customer777", password="customer")
    admin = authenticate(username="admin", password="admin")
    assert isinstance(customer, User)
    assert isinstance(admin, User)
    assert (customer.is_staff, admin.is_superuser) == (False, True)


@pytest.mark.django_db(transaction=True)
def test_all_tables_have_rows_in_proportion() -> None:
    load()
    counted = {
        model._meta.db_table: model._default_manager.count()
        for model in (User, Product, Coupon, Order, OrderItem, LedgerEntry, StockMovement, UserCoupon)
    }
    assert counted == {
        "user": 1006,
        "product": 300,
        "coupon": 55,
        "order": 300,
        "order_item": 615,
        "user_balance_tx": 1523,
        "stock_movement": 951,
        "user_coupon": 1002,
    }
    assert Order.objects.filter(status="CANCELLED").count() == 16
    days = Order.objects.aggregate(
        first=Min("ordered_date"), last=Max("ordered_date"), days=Count("ordered_date", distinct=True)
    )
    today = timezone.localdate()
    assert days == {"first": today - timedelta(days=363), "last": today, "days": 295}


@pytest.mark.django_db(transaction=True)
def test_some_orders_are_refunded_in_part_and_some_products_limited(settings: Settings) -> None:
    settings.DATA_PLATFORM_URL = "http://127.0.0.1:9/events"
    load(2_000)
    refunds = Refund.objects.select_related("order")
    assert len(refunds) == 46
    assert {refund.restock for refund in refunds} == {True, False}
    for refund in refunds:
        order = refund.order
        assert order.status == "COMPLETED"
        assert order.created_at < refund.created_at <= timezone.now()
        assert 0 < order.refunded_amount == refund.amount < order.paid_amount
    assert Order.objects.filter(refunded_units__gt=0).count() == 46
    assert StockMovement.objects.filter(refund_id__isnull=False).count() == refunds.filter(restock=True).count()
    limited = Product.objects.filter(purchase_limit__isnull=False)
    assert set(limited.values_list("purchase_limit", flat=True)) == {VARIANT_LIMIT}
    assert limited.count() == 10
    assert bought_beyond_limits() == []
    assert violations(quiet_system=True) == []


@pytest.mark.django_db(transaction=True)
def test_coupons_are_in_all_states() -> None:
    load()
    now = timezone.now()
    coupons = Coupon.objects.aggregate(
        scheduled=Count("id", filter=Q(issue_starts_at__gt=now)),
        can_be_had=Count(
            "id", filter=Q(issue_starts_at__lte=now, issue_ends_at__gt=now, issued_count__lt=F("total_quantity"))
        ),
        gone=Count("id", filter=Q(issue_ends_at__gt=now, issued_count=F("total_quantity"))),
        ended=Count("id", filter=Q(issue_ends_at__lte=now)),
    )
    assert coupons == {"scheduled": 6, "can_be_had": 7, "gone": 2, "ended": 40}
    units = UserCoupon.objects.aggregate(
        used=Count("id", filter=Q(status="USED")),
        expired=Count("id", filter=Q(status="AVAILABLE", expires_at__lte=now)),
        unused=Count("id", filter=Q(status="AVAILABLE", expires_at__gt=now)),
    )
    assert units == {"used": 38, "expired": 774, "unused": 190}


@pytest.mark.django_db(transaction=True)
def test_the_last_week_has_been_delivered_not_always_at_once(settings: Settings) -> None:
    settings.DATA_PLATFORM_URL = "http://127.0.0.1:9/events"
    load(10_000)
    recent = timezone.localdate() - timedelta(days=6)
    messages = Counter(OutboxMessage.objects.values_list("type", "destination"))
    orders = Order.objects.filter(ordered_date__gte=recent).count()
    assert messages["order-completed", "kafka"] == messages["order-completed", "data-platform"] == orders == 255
    others = OutboxMessage.objects.exclude(destination="webhooks")
    assert others.filter(sent_at=None).count() == 0
    attempts = DeliveryAttempt.objects.filter(message__in=others)
    assert Counter(attempts.values_list("outcome", flat=True)) == {
        "acknowledged": 278,
        "refused": 3,
        "no-answer": 2,
    }
    # One webhook receiver fails.
    assert DeliveryAttempt.objects.filter(message__destination="webhooks", outcome="refused").exists()
    failed = others.filter(attempts__gt=1).values_list("destination", "attempts", "last_error")
    assert list(failed.order_by("id")) == [
        ("data-platform", 4, 'HTTP 429: {"error": "too many requests"}'),
        ("data-platform", 3, "No answer in time"),
    ]


@pytest.mark.django_db(transaction=True)
def test_inactive_destinations_get_no_messages(settings: Settings) -> None:
    settings.DATA_PLATFORM_URL = ""
    load(1_000)
    assert set(OutboxMessage.objects.values_list("destination", flat=True)) == {"kafka", "webhooks"}
    assert DeliveryAttempt.objects.exclude(message__destination="webhooks").count() == 0
    assert violations(quiet_system=True) == []


@pytest.mark.django_db(transaction=True)
def test_a_shop_with_data_is_not_changed() -> None:
    UserFactory(username="customer1")
    with nothing_changes():
        with pytest.raises(CommandError, match="The database already contains rows") as refusal:
            load()
        assert refusal.value.returncode == 1
        assert load(300, "--if-empty") == "The database already contains rows; nothing was changed.\n"


@pytest.mark.parametrize("orders", ["0", "-1", "many", "1.5", "10000001"])
def test_an_invalid_number_is_refused(orders: str) -> None:
    with pytest.raises(CommandError, match="is not a number from 1 to 10000000"):
        call_command("load_demo", f"--orders={orders}")


@pytest.mark.django_db(transaction=True)
def test_an_interrupted_load_is_rolled_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large, "ROWS_AT_ONCE", 100)
    seen: list[int] = []

    def die_half_way(orders: int) -> None:
        seen.append(orders)
        if sum(seen) > 150:
            # There are actions that can be undone.
            assert LedgerEntry.objects.count() > 500
            raise KeyboardInterrupt

    with nothing_changes():
        with pytest.raises(KeyboardInterrupt):
            load_large_demo(orders=300, on_progress=die_half_way)
        assert User.objects.count() == 0
    seen.clear()
    assert load_large_demo(orders=300, on_progress=seen.append) is Outcome.LOADED
    assert sum(seen) == 300
    assert len(seen) > 10


@pytest.mark.django_db(transaction=True)
def test_time_limits_are_lifted_for_the_load_only() -> None:
    limits = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
    during: list[object] = []
    before = [sql.fetch_one(f"SHOW {limit}") for limit in limits]
    load_large_demo(orders=1, on_progress=lambda _: during.append([sql.fetch_one(f"SHOW {limit}") for limit in limits]))
    assert during[0] == [("0",)] * 3
    assert [sql.fetch_one(f"SHOW {limit}") for limit in limits] == before != during[0]


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
def test_the_year_is_valid_at_any_hour(now: datetime) -> None:
    tables = tables_of(2_000, now)
    valid_until = {coupon.id: coupon.valid_until for coupon in coupons_of(Assortment(2_000), now)}
    held = {row[0]: (row[1], row[2], row[4]) for row in tables[UserCoupon]}
    with_coupon = 0
    for number, order in enumerate(tables[Order], start=1):
        order_id, user_id, _, _, _, _, user_coupon_id, day, ordered_at, _, cancelled_at, *_refunded = order
        assert order_id == number
        assert day == ordered_at.astimezone(SEOUL).date()
        assert ordered_at <= (cancelled_at or ordered_at) <= now
        if user_coupon_id:
            with_coupon += 1
            owner_id, coupon_id, issued_at = held[user_coupon_id]
            assert owner_id == user_id
            assert issued_at <= ordered_at < valid_until[coupon_id]
    assert with_coupon == 191
    ledger = tables[LedgerEntry]
    assert [row[0] for row in ledger] == list(range(1, len(ledger) + 1))
    assert [row[6] for row in ledger] == sorted(row[6] for row in ledger)
    assert min(row[4] for row in ledger) >= 0
    assert max(row[7] for row in tables[StockMovement]) <= now


@pytest.mark.django_db
def test_every_load_has_the_same_names_prices_and_quantities() -> None:
    now = timezone.now()
    first, second = tables_of(2_000, now), tables_of(2_000, now + timedelta(days=40, hours=7))
    assert first[OrderItem] == second[OrderItem]
    assert [row[:6] for row in first[LedgerEntry]] == [row[:6] for row in second[LedgerEntry]]
    assert [row[:7] for row in first[Order]] == [row[:7] for row in second[Order]]
    assert [(row[1], row[3]) for row in first[ProductStat]] == [(row[1], row[3]) for row in second[ProductStat]]


def test_a_large_shop_has_its_proportions() -> None:
    assortment = Assortment(20_000)
    happenings = [happening for day in Year(assortment).days() for happening in day]
    assert (assortment.customers, len(assortment.products)) == (2_000, 300)
    assert Counter(type(happening).__name__ for happening in happenings) == {
        "Charge": 79_891,
        "Sale": 20_000,
        "CouponIssue": 3_339,
        "Return": 964,
        "PartRefund": 415,
        "Restock": 236,
        "Goodwill": 13,
    }


def bought_beyond_limits() -> list[object]:
    """Customers, products and units above the purchase limit."""
    bought = OrderItem.objects.filter(product__purchase_limit__isnull=False, order__status="COMPLETED")
    units = bought.values("order__user", "product").annotate(kept=Sum(F("quantity") - F("refunded_quantity")))
    return list(units.filter(kept__gt=F("product__purchase_limit")))


def violations(*, quiet_system: bool) -> list[Violation]:
    """Except for the messages that wait for the demo's unavailable webhook."""
    asked = [rule for rule in invariants(quiet_system=quiet_system) if rule.name != "nothing_is_pending"]
    if quiet_system:
        assert not OutboxMessage.objects.filter(sent_at__isnull=True).exclude(destination="webhooks").exists()
    found = [violation_of(invariant) for invariant in asked]
    return [violation for violation in [*found, altered_ledgers()] if violation]


def tables_of(orders: int, now: datetime) -> Tables:
    assortment = Assortment(orders)
    rows = YearRows(assortment, Calendar(DAYS, now), coupons_of(assortment, now), staff_id=assortment.customers + 1)
    for day, happenings in enumerate(Year(assortment).days()):
        rows.live(day, happenings)
    return rows.take().tables


def coupons_of(assortment: Assortment, now: datetime) -> list[Coupon]:
    return [
        coupon_of(campaign.coupon, coupon_id, issued=0, now=now)
        for coupon_id, campaign in enumerate(assortment.campaigns, start=1)
    ]
