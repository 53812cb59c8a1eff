"""Archiving refunds: only with their order; the invariants hold."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from django.db import IntegrityError, connections, transaction

from commerce.archive import orders
from commerce.archive.ledger import LeavingEntries
from commerce.archive.orders import LeavingOrders
from commerce.archive.pages import Choice
from commerce.archive.stock import LeavingMovements
from commerce.core import sql
from commerce.idempotency.commit import Idempotency
from orders.errors import OrderNotFound, PurchaseLimitExceeded
from orders.models import Order, Refund, RefundItem
from orders.services import cancel_order
from products.models import Product
from stats.models import FinalUntil
from stats.services import count_messages
from stats.tests.conftest import count_order_events, sent_events, sent_payloads, units_counted
from tests.archive.conftest import all_is_delivered, archived, later
from tests.archive.test_stock_and_orders import counted_and_delivered, holds, lines_of
from tests.books import broken_rules
from tests.factories import CouponFactory, ProductFactory, UserFactory, issued, order_of, refunded
from tests.together import meanwhile, wait_until

if TYPE_CHECKING:
    from balances.models import User

pytestmark = pytest.mark.django_db(transaction=True)

LAST = (LeavingEntries(), LeavingMovements(), LeavingOrders())


@pytest.fixture
def user() -> User:
    return UserFactory(balance=1_000_000)


@pytest.fixture
def pen() -> Product:
    return ProductFactory(price=1_000, stock=100)


@pytest.fixture
def ink() -> Product:
    return ProductFactory(price=7_000, stock=100)


@pytest.fixture
def order(user: User, pen: Product, ink: Product) -> Order:
    return order_of(user, {pen: 5, ink: 2}, coupon=issued(user, CouponFactory(discount_value=100)))


class TestWhatLeaves:
    def test_an_order_with_its_refunds(self, folder: Path, order: Order, pen: Product, ink: Product) -> None:
        first = refunded(order, {pen: 2, ink: 1})
        second = refunded(order, {pen: 1}, restock=False)
        counted_and_delivered()
        assert archived(folder, *LAST)[2] == 1
        assert (Order.objects.count(), Refund.objects.count(), RefundItem.objects.count()) == (0, 0, 0)
        [line] = lines_of(folder, "order")
        assert (line["id"], line["refunded_units"], len(line["items"])) == (order.pk, 4, 2)
        assert [(each["id"], each["order_id"], each["restock"]) for each in line["refunds"]] == [
            (first.refund.id, order.pk, True),
            (second.refund.id, order.pk, False),
        ]
        assert [(each["refund_id"], each["product_id"], each["quantity"]) for each in line["refund_items"]] == [
            (first.refund.id, pen.pk, 2),
            (first.refund.id, ink.pk, 1),
            (second.refund.id, pen.pk, 1),
        ]
        assert holds(folder)

    def test_a_fully_refunded_order(self, folder: Path, order: Order, pen: Product, ink: Product) -> None:
        refunded(order, {pen: 5, ink: 2})
        counted_and_delivered()
        assert archived(folder, *LAST)[2] == 1
        assert lines_of(folder, "order")[0]["status"] == "REFUNDED"
        assert holds(folder)
        # The coupon was returned to its owner, who uses it for another order.
        coupon = order.user_coupon
        assert coupon is not None
        order_of(order.user, {pen: 1}, coupon=coupon)
        assert broken_rules() == set()

    def test_an_order_without_refunds(self, folder: Path, order: Order) -> None:
        counted_and_delivered()
        archived(folder, *LAST)
        [line] = lines_of(folder, "order")
        assert (line["refunds"], line["refund_items"]) == ([], [])


class TestWhatStays:
    def test_an_order_with_a_recent_refund(self, folder: Path, user: User, pen: Product) -> None:
        given_back, quiet, young = (order_of(user, {pen: 2}) for _ in range(3))
        refunded(given_back, {pen: 1})
        counted_and_delivered()
        assert archived(folder, *LAST, before=young.created_at)[2] == 1
        assert [line["id"] for line in lines_of(folder, "order")] == [quiet.pk]
        assert holds(folder)
        assert archived(folder, *LAST)[2] == 2
        assert holds(folder)

    def test_an_order_kept_by_its_recent_refund_alone(self, folder: Path, user: User, pen: Product) -> None:
        order = order_of(user, {pen: 2})
        refund = refunded(order, {pen: 1}).refund
        counted_and_delivered()
        archived(folder, LeavingEntries(), LeavingMovements())
        assert archived(folder, LeavingOrders(), before=refund.created_at) == [0]
        assert archived(folder, LeavingOrders()) == [1]
        assert holds(folder)

    def test_an_order_with_an_uncounted_refund(self, folder: Path, order: Order, pen: Product) -> None:
        refunded(order, {pen: 1})
        [placed, refund] = sent_events()
        count_order_events(events=[placed])
        all_is_delivered()
        assert archived(folder, *LAST)[2] == 0
        assert broken_rules() == set()
        count_order_events(events=[refund])
        all_is_delivered()
        assert archived(folder, *LAST)[2] == 1
        assert holds(folder)

    @pytest.mark.parametrize(
        "kept",
        [
            """
            INSERT INTO outbox_message (event_id, type, aggregate_type, aggregate_id, destination, payload, sent_at)
            VALUES (%s, 'order-refunded', 'order', '1', 'kafka', '', now())
            """,
            "INSERT INTO processed_event (event_id) VALUES (%s)",
        ],
        ids=["message", "counted event"],
    )
    def test_an_order_whose_refund_has_kept_rows(self, folder: Path, order: Order, pen: Product, kept: str) -> None:
        refunded(order, {pen: 1})
        [_placed, refund] = sent_events()
        counted_and_delivered()
        sql.execute(kept, [refund.event_id])
        assert archived(folder, *LAST)[2] == 0
        assert broken_rules() == set()

    def test_it_can_be_refunded_after_its_entries_were_archived(
        self, folder: Path, order: Order, pen: Product, ink: Product
    ) -> None:
        refunded(order, {pen: 2})
        counted_and_delivered()
        archived(folder, LeavingEntries(), LeavingMovements())
        assert holds(folder)
        refunded(order, {pen: 3, ink: 1}, restock=False)
        assert holds(folder)
        refunded(order, {ink: 1})
        order.refresh_from_db()
        order.user.refresh_from_db()
        assert (order.status, order.user.balance) == ("REFUNDED", 1_000_000)
        assert holds(folder)
        counted_and_delivered()
        assert archived(folder, *LAST)[2] == 1
        assert holds(folder)


def gone(*tables: str) -> None:
    """Delete the order's rows from these tables, and check the invariants after each."""
    with transaction.atomic():
        for table in tables:
            sql.execute(f'DELETE FROM "{table}"')  # noqa: S608  # ours
        sql.execute("SET CONSTRAINTS ALL IMMEDIATE")


class TestTheDatabaseRefuses:
    @pytest.fixture(autouse=True)
    def refund(self, order: Order, pen: Product) -> None:
        refunded(order, {pen: 1})

    @pytest.mark.parametrize(
        "tables",
        [
            ("refund",),
            ("refund_item",),
            ("order_item", "order"),
            # Its refund is still in the ledger.
            ("order_item", "order", "refund", "refund_item"),
        ],
    )
    def test_deleting_a_refund_or_its_order_alone(self, folder: Path, tables: tuple[str, ...]) -> None:
        with pytest.raises(IntegrityError):
            gone(*tables)
        assert (Refund.objects.count(), RefundItem.objects.count()) == (1, 1)
        assert broken_rules() == set()

    @pytest.mark.parametrize("tables", [("refund",), ("refund_item",), ("order_item", "order", "refund")])
    def test_also_after_its_ledger_entries_were_archived(self, folder: Path, tables: tuple[str, ...]) -> None:
        counted_and_delivered()
        archived(folder, LeavingEntries(), LeavingMovements())
        with pytest.raises(IntegrityError):
            gone(*tables)
        assert (Refund.objects.count(), RefundItem.objects.count()) == (1, 1)
        assert holds(folder)

    @pytest.mark.parametrize("table", ["refund", "refund_item"])
    def test_updating_a_refund(self, folder: Path, table: str) -> None:
        counted_and_delivered()
        archived(folder, LeavingEntries(), LeavingMovements())
        with pytest.raises(IntegrityError, match="append-only"):
            sql.execute(f"UPDATE {table} SET amount = amount + 1")  # noqa: S608  # ours


class TestTheAuditFinds:
    """An attacker with all privileges disables the triggers."""

    @pytest.mark.parametrize(
        ("damage", "rules"),
        [
            ("UPDATE refund_item SET amount = amount + 1 WHERE refund_id = {old}", {"refund_has_its_one_ledger_entry"}),
            # Its time is later than that of the archived rows.
            (
                "UPDATE refund SET created_at = created_at + interval '1 day' WHERE id = {old}",
                {"refund_has_its_one_ledger_entry", "returns_are_restocked_refunds"},
            ),
            (
                "UPDATE user_balance_tx SET refund_id = NULL WHERE refund_id = {new}",
                {"refund_has_its_one_ledger_entry", "cancelled_order_has_its_one_refund"},
            ),
            ("DELETE FROM user_balance_tx WHERE refund_id = {new}", {"refund_has_its_one_ledger_entry"}),
            ("DELETE FROM stock_movement WHERE refund_id = {new}", {"returns_are_restocked_refunds"}),
            (
                "DELETE FROM refund_item WHERE refund_id = {old}; DELETE FROM refund WHERE id = {old}",
                {"refunds_are_what_the_order_says", "refunded_units_were_bought"},
            ),
            (
                'DELETE FROM refund_item; DELETE FROM refund; DELETE FROM order_item; DELETE FROM "order"',
                {"refund_has_its_one_ledger_entry", "returns_are_restocked_refunds"},
            ),
        ],
    )
    def test_damage_behind_the_checkpoints(
        self, folder: Path, order: Order, pen: Product, damage: str, rules: set[str]
    ) -> None:
        old = refunded(order, {pen: 2}).refund.id
        counted_and_delivered()
        archived(folder, LeavingEntries(), LeavingMovements())
        new = refunded(order, {pen: 1}).refund.id
        assert holds(folder)
        triggers = [
            ("refund", "refund_is_append_only"),
            ("refund_item", "refund_is_append_only"),
            ("user_balance_tx", "user_balance_tx_is_append_only"),
            ("stock_movement", "stock_movement_is_append_only"),
        ]
        for table, name in triggers:
            sql.execute(f"ALTER TABLE {table} DISABLE TRIGGER {name}")
        try:
            with transaction.atomic():
                sql.execute(damage.format(old=old, new=new))
        finally:
            for table, name in triggers:
                sql.execute(f"ALTER TABLE {table} ENABLE TRIGGER {name}")
        assert broken_rules() >= rules


class TestBesideRefunds:
    @pytest.fixture(autouse=True)
    def explained_by_nothing(self, folder: Path, order: Order, pen: Product) -> None:
        """All rows that block the order are archived; one of its refunds is old."""
        refunded(order, {pen: 1})
        counted_and_delivered()
        archived(folder, LeavingEntries(), LeavingMovements())

    def test_a_refund_of_an_archived_order_is_refused(self, folder: Path, order: Order, pen: Product) -> None:
        refunding = RefundedMeanwhile(order, pen)
        assert archived(folder, refunding) == [1]
        assert isinstance(refunding.outcome(), OrderNotFound)
        assert holds(folder)

    def test_control_without_its_lock_a_trigger_keeps_the_refund(
        self, folder: Path, order: Order, pen: Product, unlocked: None
    ) -> None:
        """The control of the lock."""
        refunding = RefundedMeanwhile(order, pen)
        with pytest.raises(IntegrityError, match="append-only"):
            archived(folder, refunding)
        assert refunding.outcome() is None
        assert Refund.objects.count() == 2
        assert holds(folder)

    def test_control_without_both_a_refund_has_no_order(
        self, folder: Path, order: Order, pen: Product, unlocked: None
    ) -> None:
        """The control of both."""
        refunding = RefundedMeanwhile(order, pen)
        for table in ("refund", "refund_item"):
            sql.execute(f"ALTER TABLE {table} DISABLE TRIGGER refund_is_append_only")
        try:
            archived(folder, refunding)
        finally:
            for table in ("refund", "refund_item"):
                sql.execute(f"ALTER TABLE {table} ENABLE TRIGGER refund_is_append_only")
        assert refunding.outcome() is None
        assert "refund_has_its_one_ledger_entry" in broken_rules()

    def test_a_refund_before_the_row_lock_is_detected(
        self, folder: Path, order: Order, pen: Product, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The statement's snapshot does not contain the refund yet."""
        slow_to_lock(monkeypatch)
        assert left_while_refunded(folder, order, pen) == [0]
        assert Refund.objects.count() == 2
        assert holds(folder)

    def test_control_otherwise_the_order_is_archived(
        self, folder: Path, order: Order, pen: Product, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The control: the refunded amount of the locked row is not compared."""
        slow_to_lock(monkeypatch)
        monkeypatch.setattr(orders, "CHOOSE", orders.CHOOSE.replace("refunded_units = (", "0 <= ("))
        with pytest.raises(IntegrityError, match="append-only"):
            left_while_refunded(folder, order, pen)
        assert holds(folder)


@pytest.fixture
def unlocked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Orders are chosen without a lock."""
    monkeypatch.setattr(orders, "CHOOSE", orders.CHOOSE.replace("FOR UPDATE SKIP LOCKED", ""))


SLEEPING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"


def slow_to_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The statement waits for a second between its snapshot and its row locks."""
    page = 'FROM "order" WHERE id > '
    assert page in orders.CHOOSE
    slow = f"FROM (SELECT pg_sleep(1) OFFSET 0) AS slept, {page.removeprefix('FROM ')}"
    monkeypatch.setattr(orders, "CHOOSE", orders.CHOOSE.replace(page, slow))


def left_while_refunded(folder: Path, order: Order, pen: Product) -> list[int]:
    """The number of archived orders if a unit is refunded after the snapshot and before the lock."""
    with meanwhile(partial(archived, folder, LeavingOrders())) as leaving:
        wait_until(lambda: sql.fetch_one(SLEEPING) == (1,), "the statement that chooses")
        refunded(order, {pen: 1})
        assert sql.fetch_one(SLEEPING) == (1,)
        return leaving.result()


class RefundedMeanwhile(LeavingOrders):
    """Staff refund a unit of the order after it was chosen; waits for the refund for a limited time."""

    def __init__(self, order: Order, product: Product) -> None:
        self._order, self._product = order, product
        self._pool = ThreadPoolExecutor(1)

    def choose(self, *, before: datetime, after: int, most: int) -> Choice:
        chosen = super().choose(before=before, after=after, most=most)
        if chosen.ids:
            self._refunding = self._pool.submit(self._refund)
            wait((self._refunding,), timeout=1)
        return chosen

    def outcome(self) -> OrderNotFound | None:
        """The refusal of the refund; None if it succeeded."""
        self._pool.shutdown()
        return self._refunding.result()

    def _refund(self) -> OrderNotFound | None:
        try:
            refunded(self._order, {self._product: 1})
        except OrderNotFound as refusal:
            return refusal
        finally:
            connections.close_all()
        return None


class TestStatisticsOfThen:
    def test_repeated_events_are_not_counted(self, folder: Path, user: User, pen: Product) -> None:
        """Also those of a refund and a cancellation that are later than every archived order."""
        kept, taken_back = order_of(user, {pen: 4}), order_of(user, {pen: 2})
        cancel_order(order_id=taken_back.pk, owner_id=user.pk, idempotency=Idempotency.none())
        refunded(kept, {pen: 1})
        payloads = {str(number): payload for number, payload in enumerate(sent_payloads())}
        counted_and_delivered()
        assert archived(folder, *LAST)[2] == 2
        before = units_counted()
        assert set(before.values()) == {3}
        counted = count_messages(payloads=payloads)
        assert (counted.events, counted.repeats, counted.left_out) == (0, 4, {})
        assert units_counted() == before
        assert broken_rules() == set()

    def test_a_later_unknown_event_is_refused(self, folder: Path, user: User, pen: Product) -> None:
        """The database was restored to a time before the refund, at which the day was already final."""
        order_of(user, {pen: 1})
        counted_and_delivered()
        assert archived(folder, *LAST)[2] == 1
        order = order_of(user, {pen: 4})
        assert FinalUntil.objects.get().day == order.ordered_date
        refunded(order, {pen: 1})
        [_placed, refund] = sent_payloads()
        stranger = refund.replace(b'"order-refunded:', b'"order-refunded:9')
        number = str(sent_events()[1].source_id).encode()
        stranger = stranger.replace(b'"data":{"id":' + number, b'"data":{"id":9' + number)
        counted = count_messages(payloads={"a": stranger})
        assert (counted.events, counted.repeats, list(counted.left_out)) == (0, 0, ["a"])


def test_a_purchase_limit_counts_only_kept_orders(folder: Path, user: User) -> None:
    rare = ProductFactory(price=100, stock=100, purchase_limit=2)
    old = order_of(user, {rare: 2})
    counted_and_delivered()
    archived(folder, LeavingEntries(), LeavingMovements())
    with pytest.raises(PurchaseLimitExceeded):
        order_of(user, {rare: 1})
    archived(folder, LeavingOrders(), before=later())
    assert not Order.objects.filter(pk=old.pk).exists()
    order_of(user, {rare: 2})
    with pytest.raises(PurchaseLimitExceeded):
        order_of(user, {rare: 1})
    assert holds(folder)
