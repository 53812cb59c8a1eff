"""Movements of stock, edits of products, and the database's constraints on both."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from unittest import mock

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import Sum
from psycopg import sql

from commerce.audit.models import StaffAction
from commerce.audit.record import Staff
from commerce.core.group import Group
from commerce.core.group_commit import commit
from commerce.core.sql import violated_constraint
from commerce.core.transaction import Transaction
from commerce.idempotency.commit import Idempotency
from products import services
from products.errors import OutOfStock, ProductNotFound, Shortage, TooManyUnits
from products.models import Product, StockMovement
from products.operations import return_stock, take_stock, will_move
from products.rules import MOST_UNITS, StockedProduct
from tests.concurrency import naive
from tests.factories import OPTIONAL, ProductFactory, StaffFactory
from tests.groups import round_trips
from tests.layers import LOCKS_OFF, switched_off
from tests.shop_state import nothing_changes
from tests.together import Meeting, another_session, meanwhile, together, wait_until

pytestmark = pytest.mark.django_db(transaction=True)

ORDER = 7


@pytest.fixture
def chair() -> Product:
    return ProductFactory(name="Chair", price=45_000, stock=2)


def stock(product: Product) -> int:
    """The product's stock, after checking that it is the sum of its movements."""
    product.refresh_from_db()
    assert StockMovement.objects.filter(product=product).aggregate(total=Sum("quantity"))["total"] == product.stock
    return product.stock


@dataclass(frozen=True)
class Move:
    """A write of one operation."""

    products: Sequence[Product]
    decide: Callable[[Transaction], dict[int, StockedProduct] | None]

    def locks(self) -> Sequence[str]:
        return ()

    def load(self, transaction: Transaction) -> None:
        will_move(transaction, [product.pk for product in self.products])


def takes(quantities: dict[Product, int], *, order_id: int = ORDER) -> Move:
    wanted = {product.pk: quantity for product, quantity in quantities.items()}
    return Move(list(quantities), lambda shared: take_stock(shared, wanted, order_id=order_id))


def returns(quantities: dict[Product, int]) -> Move:
    wanted = {product.pk: quantity for product, quantity in quantities.items()}
    return Move(list(quantities), lambda shared: return_stock(shared, wanted, order_id=ORDER))


class TestTaking:
    def test_takes_all_in_one_statement_and_returns_products_by_id(self, pen: Product, chair: Product) -> None:
        with round_trips() as trips:
            taken = commit(takes({chair: 2, pen: 3}))
        assert taken is not None
        assert {each: (product.name, product.price, product.stock) for each, product in taken.items()} == {
            chair.pk: ("Chair", 45_000, 0),
            pen.pk: ("Pen", 1_200, 7),
        }
        assert (stock(pen), stock(chair)) == (7, 0)
        assert [statement.split()[0] for statement in trips.postgresql[1]] == ["WITH", "COMMIT"]

    def test_takes_nothing_where_one_product_is_short(self, pen: Product, chair: Product) -> None:
        with nothing_changes(), pytest.raises(OutOfStock) as refusal:
            commit(takes({pen: 3, chair: 3}))
        assert refusal.value.shortages == [Shortage(chair.pk, 3, 2)]

    def test_takes_nothing_where_one_product_is_not_for_sale(self, pen: Product) -> None:
        relic = ProductFactory(is_active=False)
        with nothing_changes(), pytest.raises(ProductNotFound) as refusal:
            commit(takes({pen: 3, relic: 1}))
        assert refusal.value.product_id == relic.pk

    def test_takes_units_returned_while_it_waited(self) -> None:
        lamp = ProductFactory(name="Lamp", price=900, stock=0)
        with another_session() as returning:
            returning.execute("UPDATE product SET stock = stock + 1 WHERE id = %s", [lamp.pk])
            tries = mock.patch.object(Group, "_decide", autospec=True, side_effect=Group._decide)
            with tries as tried, meanwhile(lambda: commit(takes({lamp: 1}))) as taking:
                wait_until(lambda: tried.call_count > 1, "a second try")
                assert not taking.done()
                returning.commit()
                assert taking.result() is not None
        lamp.refresh_from_db()
        assert lamp.stock == 0

    def test_returning_units_twice_is_refused(self, pen: Product) -> None:
        commit(takes({pen: 3}))
        commit(returns({pen: 3}))
        assert stock(pen) == 10
        with nothing_changes(), pytest.raises(IntegrityError) as error:
            commit(returns({pen: 3}))
        assert violated_constraint(error.value) == "stock_movement_each_once"


@pytest.fixture
def clerk() -> Staff:
    return Staff(StaffFactory().pk, "Counted again.")


def adjust(product_id: int, delta: int, by: Staff) -> int:
    return services.adjust_stock(product_id=product_id, delta=delta, by=by, idempotency=Idempotency.none())


class TestAdjusting:
    @pytest.mark.parametrize(("delta", "after"), [(5, 15), (-10, 0), (0, 10)])
    def test_moves_the_stock_with_author_and_reason(self, pen: Product, clerk: Staff, delta: int, after: int) -> None:
        assert adjust(pen.pk, delta, clerk) == after
        assert stock(pen) == after
        movement = StockMovement.objects.get(reason="ADJUSTMENT")
        assert (movement.quantity, movement.actor_id, movement.note) == (delta, clerk.id, "Counted again.")

    def test_records_the_stock_before_and_after(self, pen: Product, clerk: Staff) -> None:
        adjust(pen.pk, -3, clerk)
        action = StaffAction.objects.get()
        assert (action.subject_type, action.subject_id) == ("products.product", str(pen.pk))
        assert (action.action, action.actor_id, action.reason) == ("Stock adjusted", clerk.id, "Counted again.")
        assert (action.before, action.after) == ({"stock": 10}, {"stock": 7})

    def test_removing_more_than_the_stock_is_refused(self, pen: Product, clerk: Staff) -> None:
        with nothing_changes(), pytest.raises(OutOfStock) as refusal:
            adjust(pen.pk, -11, clerk)
        assert refusal.value.shortages == [Shortage(pen.pk, 11, 10)]
        assert StaffAction.objects.count() == 0

    def test_adding_beyond_the_largest_stock_is_refused(self, clerk: Staff) -> None:
        grains = ProductFactory(stock=MOST_UNITS - 5)
        with nothing_changes(), pytest.raises(TooManyUnits) as refusal:
            adjust(grains.pk, 6, clerk)
        assert (refusal.value.available, refusal.value.most) == (MOST_UNITS - 5, MOST_UNITS)
        assert adjust(grains.pk, 5, clerk) == MOST_UNITS

    def test_a_missing_product_is_refused(self, clerk: Staff) -> None:
        with nothing_changes(), pytest.raises(ProductNotFound):
            adjust(999_999_999, 1, clerk)

    def test_two_concurrent_adjustments_both_count(self, pen: Product) -> None:
        """With the row lock alone."""
        clerks = [Staff(StaffFactory().pk, "Counted.") for _ in range(10)]
        with switched_off(LOCKS_OFF):
            together([partial(adjust, pen.pk, 1, clerk) for clerk in clerks])
        assert stock(pen) == 20

    def test_without_the_row_lock_one_adjustment_is_lost(self, pen: Product) -> None:
        """The control of the test above."""
        meeting = Meeting()
        clerks = [Staff(StaffFactory().pk, "Counted.") for _ in range(2)]
        with switched_off(LOCKS_OFF), naive.unlocked_rows(meeting.attend, absolute=True):
            together([partial(adjust, pen.pk, 1, clerk) for clerk in clerks])
        assert meeting.took_place
        pen.refresh_from_db()
        assert pen.stock == 11


class TestCatalogue:
    def test_a_new_product_has_its_opening_stock(self, clerk: Staff) -> None:
        lamp = Product(name="Lamp", price=30_000)
        product = services.create_product(lamp, opening_stock=4, by=clerk, idempotency=Idempotency.none())
        assert stock(product) == 4
        assert StockMovement.objects.get().reason == "OPENING"
        action = StaffAction.objects.get()
        assert (action.action, action.subject_id, action.before) == ("Added", str(product.pk), {})
        told = {"name": "Lamp", "description": "", "price": 30_000, "is_active": True, "stock": 4}
        assert action.after == {**told, **OPTIONAL}

    def test_an_edit_from_a_stale_form_keeps_the_stock(self, pen: Product, clerk: Staff) -> None:
        stale = Product.objects.get(pk=pen.pk)
        adjust(pen.pk, -4, clerk)
        stale.name = "Fountain pen"
        services.save_product(stale, by=clerk)
        assert stock(pen) == 6
        assert pen.name == "Fountain pen"

    def test_an_edit_is_recorded_with_the_changed_fields(self, pen: Product, clerk: Staff) -> None:
        pen.price, pen.name = 1_500, "Fountain pen"
        services.save_product(pen, by=clerk)
        action = StaffAction.objects.get()
        assert (action.action, action.subject_id) == ("Changed", str(pen.pk))
        assert action.before == {"name": "Pen", "price": 1_200}
        assert action.after == {"name": "Fountain pen", "price": 1_500}

    def test_an_edit_that_changes_nothing_is_not_recorded(self, pen: Product, clerk: Staff) -> None:
        services.save_product(pen, by=clerk)
        assert StaffAction.objects.count() == 0


def refused_by(statement: str | sql.Composed, params: list[Any]) -> str | None:
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement, params)
    except IntegrityError as error:
        return violated_constraint(error)
    return None


class TestConstraints:
    @pytest.mark.parametrize(
        ("column", "constraint"), [("stock", "product_stock_not_negative"), ("price", "product_price_in_range")]
    )
    def test_a_negative_stock_is_refused(self, pen: Product, column: str, constraint: str) -> None:
        update = sql.SQL("UPDATE product SET {} = %s").format(sql.Identifier(column))
        assert refused_by(update, [-1]) == constraint
        assert refused_by(update, [0]) is None

    @pytest.mark.parametrize("statement", ["UPDATE stock_movement SET quantity = 5", "DELETE FROM stock_movement"])
    def test_update_and_delete_of_movements_are_refused(self, pen: Product, statement: str) -> None:
        assert refused_by(statement, []) == "stock_movement_is_append_only"

    @pytest.mark.parametrize(
        ("reason", "quantity", "order_id", "fits"),
        [
            ("SALE", -1, ORDER, True),
            ("SALE", 1, ORDER, False),
            ("SALE", -1, None, False),
            ("RETURN", 1, ORDER, True),
            ("RETURN", -1, ORDER, False),
            ("RETURN", 1, None, False),
            ("OPENING", 0, None, True),
            ("OPENING", -1, None, False),
            ("OPENING", 1, ORDER, False),
            ("ADJUSTMENT", -1, None, True),
            ("ADJUSTMENT", 1, ORDER, False),
            ("THEFT", -1, None, False),
        ],
    )
    def test_a_movement_must_fit_its_reason(
        self, pen: Product, reason: str, quantity: int, order_id: int | None, fits: bool
    ) -> None:
        insert = """
            INSERT INTO stock_movement (product_id, reason, quantity, order_id, created_at)
            VALUES (%s, %s, %s, %s, now())
        """
        expected = None if fits else "stock_movement_fits_reason"
        assert refused_by(insert, [pen.pk, reason, quantity, order_id]) == expected
