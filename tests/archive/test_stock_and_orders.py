"""Archiving stock movements and orders: the invariants of stock, payments and statistics hold."""

from __future__ import annotations

import gzip
import json
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connections
from django.utils import timezone

from commerce.archive import orders
from commerce.archive.check import check_archive
from commerce.archive.ledger import LeavingEntries
from commerce.archive.models import ArchivedPage, StockCheckpoint
from commerce.archive.orders import LeavingOrders
from commerce.archive.pages import Choice
from commerce.archive.stock import LeavingMovements
from commerce.audit.record import Staff
from commerce.core import sql
from commerce.idempotency.commit import Idempotency
from coupons.models import UserCoupon
from orders.errors import OrderNotFound
from orders.models import Order, OrderItem
from orders.services import cancel_order, pay_reservation
from products.models import Product, StockMovement
from products.services import adjust_stock
from reservations.services import purge_reservations, reserve
from stats.errors import DayIsFinal
from stats.models import FinalUntil, ProcessedEvent
from stats.services import backfill_product_stats, compare_days, count_messages, rebuild_day
from stats.tests.conftest import count_order_events, sent_events, sent_payloads, uncommitted, units_counted
from tests.archive.conftest import all_is_delivered, archived, later
from tests.books import broken_rules
from tests.factories import CouponFactory, ProductFactory, UserFactory, issued, order_of
from tests.operations.busy_shop import busy_shop
from tests.outbox.manage import call
from tests.together import meanwhile, row_held, together, wait_until_blocked

if TYPE_CHECKING:
    from pytest_django import Settings

    from balances.models import User

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def user() -> User:
    return UserFactory(balance=1_000_000)


@pytest.fixture
def pen() -> Product:
    return ProductFactory(price=1_000, stock=100)


def lines_of(folder: Path, table: str) -> list[dict[str, Any]]:
    names = ArchivedPage.objects.filter(table_name=table).order_by("id").values_list("file_name", flat=True)
    return [json.loads(line) for name in names for line in gzip.open(folder / name, "rt")]


def counted_and_delivered() -> None:
    """Deliver and count all events, and delete the messages and records."""
    count_order_events(events=sent_events())
    all_is_delivered()


def holds(folder: Path) -> bool:
    assert check_archive(folder).findings == []
    assert broken_rules() == set()
    return True


class TestMovements:
    def test_the_invariants_hold_without_them(self, folder: Path) -> None:
        shop = busy_shop()
        all_is_delivered()
        stocks = dict(Product.objects.values_list("id", "stock"))
        count = StockMovement.objects.count()
        assert archived(folder, LeavingMovements()) == [count]
        assert StockMovement.objects.count() == 0
        assert dict(StockCheckpoint.objects.values_list("product_id", "stock")) == stocks
        assert holds(folder)
        cancel_order(order_id=shop.last.pk, owner_id=shop.mina.pk, idempotency=Idempotency.none())
        adjust_stock(
            product_id=shop.pen.pk, delta=3, by=Staff(shop.mina.pk, "Counted."), idempotency=Idempotency.none()
        )
        order_of(shop.mina, {shop.pen: 2})
        assert holds(folder)
        all_is_delivered()
        assert archived(folder, LeavingMovements()) == [3]
        assert holds(folder)
        assert len(lines_of(folder, "stock_movement")) == count + 3

    def test_only_older_movements(self, folder: Path, user: User, pen: Product) -> None:
        order_of(user, {pen: 1})
        moment = timezone.now()
        order_of(user, {pen: 2})
        assert archived(folder, LeavingMovements(), before=moment) == [2]
        assert list(StockMovement.objects.values_list("quantity", flat=True)) == [-2]
        assert StockCheckpoint.objects.get().stock == 99
        assert broken_rules() == set()

    def test_during_sales(self, folder: Path, user: User, pen: Product, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("commerce.archive.pages.PAGE_SIZE", 2)

        def leave() -> None:
            archived(folder, LeavingMovements())

        def buy() -> None:
            order_of(user, {pen: 1})

        together([leave, *[buy] * 12, leave])
        assert Product.objects.get().stock == 88
        assert holds(folder)

    @pytest.mark.parametrize(
        "change",
        [
            "UPDATE stock_checkpoint SET stock = stock + 1",
            "UPDATE stock_checkpoint SET stock = stock + 1, movement_id = movement_id + 1",
            "DELETE FROM stock_checkpoint",
        ],
    )
    def test_a_checkpoint_with_a_wrong_sum_is_refused(self, folder: Path, pen: Product, change: str) -> None:
        archived(folder, LeavingMovements())
        with pytest.raises(IntegrityError, match="checkpoint of a stock"):
            sql.execute(change)

    def test_a_movement_beyond_the_checkpoint_cannot_be_deleted(self, folder: Path, user: User, pen: Product) -> None:
        archived(folder, LeavingMovements())
        order_of(user, {pen: 1})
        with pytest.raises(IntegrityError, match="append-only"):
            StockMovement.objects.all().delete()

    def test_an_altered_checkpoint_is_found(self, folder: Path, pen: Product) -> None:
        archived(folder, LeavingMovements())
        sql.execute("ALTER TABLE stock_checkpoint DISABLE TRIGGER stock_checkpoint_is_its_movements")
        try:
            sql.execute("UPDATE stock_checkpoint SET stock = stock - 1")
        finally:
            sql.execute("ALTER TABLE stock_checkpoint ENABLE TRIGGER stock_checkpoint_is_its_movements")
        assert broken_rules() == {"stock_is_its_movements"}
        assert check_archive(folder).findings == [
            f"product {pen.pk}: the archive adds up to something else than its checkpoint"
        ]


class TestOrders:
    LAST = (LeavingEntries(), LeavingMovements(), LeavingOrders())

    def test_old_orders_are_archived_and_the_invariants_hold(self, folder: Path) -> None:
        shop = busy_shop()
        all_is_delivered()
        orders_were, items_were = Order.objects.count(), OrderItem.objects.count()
        units = units_counted()
        assert archived(folder, *self.LAST)[2] == orders_were
        assert (Order.objects.count(), OrderItem.objects.count()) == (0, 0)
        assert units_counted() == units
        assert holds(folder)
        lines = lines_of(folder, "order")
        assert [line["id"] for line in lines] == [
            each.pk for each in (shop.with_coupon, shop.cancelled, shop.refunded, shop.last)
        ]
        assert sum(len(line["items"]) for line in lines) == items_were
        shop.held.refresh_from_db()
        assert shop.held.status == "USED"
        order_of(shop.mina, {shop.pen: 1})
        assert broken_rules() == set()

    def test_an_order_waits_for_its_entries_and_movements(self, folder: Path, user: User, pen: Product) -> None:
        order_of(user, {pen: 1})
        counted_and_delivered()
        assert archived(folder, LeavingOrders()) == [0]
        assert archived(folder, LeavingEntries(), LeavingOrders())[1] == 0
        assert archived(folder, LeavingMovements(), LeavingOrders())[1] == 1
        assert holds(folder)

    def test_an_order_waits_for_the_reservation_that_it_was_paid_from(
        self, folder: Path, user: User, pen: Product
    ) -> None:
        reservation = reserve(user_id=user.pk, quantities={pen.pk: 2}, idempotency=Idempotency.none())
        pay_reservation(
            user_id=user.pk, reservation_id=reservation.pk, user_coupon_id=None, idempotency=Idempotency.none()
        )
        counted_and_delivered()
        assert archived(folder, *self.LAST)[2] == 0
        assert broken_rules() == set()
        purge_reservations(before=later())
        assert archived(folder, *self.LAST)[2] == 1
        assert holds(folder)

    def test_an_order_with_an_uncounted_event_stays(self, folder: Path, user: User, pen: Product) -> None:
        order_of(user, {pen: 1})
        all_is_delivered()
        assert archived(folder, *self.LAST)[2] == 0
        assert broken_rules() == set()

    def test_a_recently_cancelled_order_stays_and_blocks_nothing(self, folder: Path, user: User, pen: Product) -> None:
        taken_back, kept, young = (order_of(user, {pen: 1}) for _ in range(3))
        del kept
        cancel_order(order_id=taken_back.pk, owner_id=user.pk, idempotency=Idempotency.none())
        counted_and_delivered()
        assert archived(folder, *self.LAST, before=young.created_at)[2] == 1
        assert list(Order.objects.order_by("id").values_list("id", flat=True)) == [taken_back.pk, young.pk]
        assert holds(folder)
        assert archived(folder, *self.LAST)[2] == 2
        assert holds(folder)

    def test_an_order_can_be_cancelled_after_its_payment_was_archived(
        self, folder: Path, user: User, pen: Product
    ) -> None:
        coupon = issued(user, CouponFactory(discount_value=100))
        order = order_of(user, {pen: 2}, coupon=coupon)
        counted_and_delivered()
        archived(folder, LeavingEntries(), LeavingMovements())
        cancel_order(order_id=order.pk, owner_id=user.pk, idempotency=Idempotency.none())
        user.refresh_from_db()
        assert (user.balance, Product.objects.get().stock) == (1_000_000, 100)
        assert UserCoupon.objects.get().status == "AVAILABLE"
        assert holds(folder)

    def test_an_archived_order_is_not_found(self, folder: Path, user: User, pen: Product) -> None:
        order = order_of(user, {pen: 1})
        counted_and_delivered()
        archived(folder, *self.LAST)
        with pytest.raises(OrderNotFound):
            cancel_order(order_id=order.pk, owner_id=user.pk, idempotency=Idempotency.none())
        assert holds(folder)

    def test_an_order_being_cancelled_is_skipped(self, folder: Path, user: User, pen: Product) -> None:
        busy, free = order_of(user, {pen: 1}), order_of(user, {pen: 1})
        counted_and_delivered()
        archived(folder, LeavingEntries(), LeavingMovements())
        with row_held("order", busy.pk):
            assert archived(folder, LeavingOrders()) == [1]
        assert [line["id"] for line in lines_of(folder, "order")] == [free.pk]

    def test_cancelling_an_archived_order_is_refused(self, folder: Path, user: User, pen: Product) -> None:
        order = order_of(user, {pen: 1})
        counted_and_delivered()
        archived(folder, LeavingEntries(), LeavingMovements())
        cancelling = CancelledMeanwhile(order, user)
        assert archived(folder, cancelling) == [1]
        assert isinstance(cancelling.outcome(), OrderNotFound)
        assert holds(folder)

    def test_control_without_its_lock_it_is_refunded_and_archived(
        self, folder: Path, user: User, pen: Product, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(orders, "CHOOSE", orders.CHOOSE.replace("FOR UPDATE SKIP LOCKED", ""))
        order = order_of(user, {pen: 1})
        counted_and_delivered()
        archived(folder, LeavingEntries(), LeavingMovements())
        cancelling = CancelledMeanwhile(order, user)
        archived(folder, cancelling)
        assert cancelling.outcome() is None
        assert "cancelled_order_has_its_one_refund" in broken_rules()


class CancelledMeanwhile(LeavingOrders):
    """The customer cancels the order after it was chosen; waits for the cancellation for a limited time."""

    def __init__(self, order: Order, user: User) -> None:
        self._order, self._user = order, user
        self._pool = ThreadPoolExecutor(1)

    def choose(self, *, before: datetime, after: int, most: int) -> Choice:
        chosen = super().choose(before=before, after=after, most=most)
        if chosen.ids:
            self._cancelling = self._pool.submit(self._cancel)
            wait((self._cancelling,), timeout=1)
        return chosen

    def outcome(self) -> OrderNotFound | None:
        """The refusal of the cancellation; None if it succeeded."""
        self._pool.shutdown()
        return self._cancelling.result()

    def _cancel(self) -> OrderNotFound | None:
        try:
            cancel_order(order_id=self._order.pk, owner_id=self._user.pk, idempotency=Idempotency.none())
        except OrderNotFound as refusal:
            return refusal
        finally:
            connections.close_all()
        return None


class TestStatisticsOfThen:
    LAST = (LeavingEntries(), LeavingMovements(), LeavingOrders())

    @pytest.fixture
    def day(self, folder: Path, user: User, pen: Product) -> datetime:
        """The day of an archived order, and the order's event."""
        order = order_of(user, {pen: 4})
        self.payloads = {str(number): payload for number, payload in enumerate(sent_payloads())}
        counted_and_delivered()
        archived(folder, *self.LAST)
        assert FinalUntil.objects.get().day == order.ordered_date
        return order.created_at

    def test_are_not_recomputed_from_archived_orders(self, day: datetime) -> None:
        date = timezone.localdate(day)
        before = units_counted()
        with pytest.raises(DayIsFinal):
            rebuild_day(day=date, by=Staff(1, "Why not."), idempotency=Idempotency.none())
        with pytest.raises(DayIsFinal):
            compare_days(from_date=date - timedelta(days=3), to_date=date)
        with pytest.raises(DayIsFinal):
            backfill_product_stats(from_date=date, to_date=date, dry_run=False)
        ended = call("backfill_product_stats", f"--from={date}", f"--to={date}")
        assert (ended.returncode, str(date) in ended.stderr) == (2, True)
        assert units_counted() == before
        assert set(before.values()) == {4}
        tomorrow = date + timedelta(days=1)
        assert compare_days(from_date=tomorrow, to_date=tomorrow)[tomorrow].differences == ()

    def test_a_repeated_event_is_not_counted(self, day: datetime) -> None:
        before = units_counted()
        counted = count_messages(payloads=self.payloads)
        assert (counted.events, counted.repeats, counted.left_out) == (0, 1, {})
        assert units_counted() == before
        assert ProcessedEvent.objects.count() == 0
        assert broken_rules() == set()

    def test_a_recomputation_waits_for_archiving(self, folder: Path, user: User, pen: Product) -> None:
        """Otherwise it could read only a part of the day's orders, and subtract the units of the others."""
        order = order_of(user, {pen: 4})
        counted_and_delivered()
        archived(folder, LeavingEntries(), LeavingMovements())
        day = order.ordered_date
        leaving = LeavingOrders()

        def leave() -> None:
            choice = leaving.choose(before=later(), after=0, most=10)
            assert leaving.take_out(choice.ids)

        with (
            uncommitted(leave) as commit,
            meanwhile(partial(backfill_product_stats, from_date=day, to_date=day, dry_run=False)) as rebuilding,
        ):
            wait_until_blocked()
            commit()
            with pytest.raises(DayIsFinal):
                rebuilding.result()
        assert set(units_counted().values()) == {4}


def test_the_command_applies_all_settings(
    folder: Path, user: User, pen: Product, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    order_of(user, {pen: 1})
    counted_and_delivered()

    def explanation() -> dict[str, object]:
        call_command("archive", json=True)
        found: dict[str, object] = json.loads(capsys.readouterr().out)
        return found

    assert "order" not in explanation()
    for name in ("LEDGER_RETENTION_DAYS", "STOCK_MOVEMENT_RETENTION_DAYS", "ORDER_RETENTION_DAYS"):
        setattr(settings, name, 1e-9)
    done = explanation()
    # The opening charge and the payment; the opening stock and the sale.
    assert (done["user_balance_tx"], done["stock_movement"], done["order"]) == (2, 2, 1)
    assert done["ledger_held_up_at"] is None
    call_command("check_archive", json=True)
    assert json.loads(capsys.readouterr().out) == {"files": 3, "rows": 5, "findings": 0, "examples": []}
    assert holds(folder)


def test_a_missing_folder_is_reported_and_nothing_is_archived(folder: Path, user: User, settings: Settings) -> None:
    settings.ARCHIVE_DIR = str(folder / "absent")
    settings.LEDGER_RETENTION_DAYS = 1e-9
    ended = call("archive")
    assert ended.returncode == 1
    assert "absent: No such file or directory" in ended.stderr
    assert broken_rules() == set()
    assert sql.fetch_one("SELECT count(*) FROM user_balance_tx") == (1,)
