"""The bare SQL of the recount's line counts what the shop counts."""

import psycopg
import pytest
from django.db import connection
from django.utils import timezone

from benchmarks.errors import WrongAnswer
from benchmarks.growth import recount_by_bare_sql
from commerce.core import sql
from commerce.idempotency.commit import Idempotency
from orders.services import cancel_order
from products.models import Product
from stats.services import backfill_product_stats
from tests.factories import ProductFactory, UserFactory, order_of, refunded

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def raw() -> psycopg.Connection:
    """The test's own connection, as psycopg's connection."""
    connection.ensure_connection()
    session: psycopg.Connection = connection.connection
    return session


@pytest.fixture
def product() -> Product:
    return ProductFactory(price=1_000, stock=100)


@pytest.fixture
def counted(product: Product) -> None:
    """A kept, a cancelled, a partly refunded and a fully refunded order, all of them counted."""
    user = UserFactory(balance=1_000_000)
    _kept, partly, wholly = (order_of(user, {product: 3}) for _ in range(3))
    returned = order_of(user, {product: 1})
    cancel_order(order_id=returned.pk, owner_id=user.pk, idempotency=Idempotency.none())
    refunded(partly, {product: 2})
    refunded(wholly, {product: 3})
    today = timezone.localdate()
    backfill_product_stats(from_date=today, to_date=today, dry_run=False)


@pytest.mark.usefixtures("counted")
def test_bare_sql_agrees_with_the_shop(raw: psycopg.Connection) -> None:
    assert recount_by_bare_sql(raw) > 0


@pytest.mark.usefixtures("counted")
@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE product_stat SET quantity_sold = quantity_sold + 1 WHERE product_id = %(product)s",
        "DELETE FROM product_stat WHERE product_id = %(product)s",
        "DELETE FROM processed_event WHERE event_id LIKE 'order-refunded:%%'",
        "INSERT INTO processed_event (event_id) VALUES ('order-completed:0:0')",
    ],
)
def test_every_difference_fails_the_run(raw: psycopg.Connection, product: Product, damage: str) -> None:
    sql.execute(damage, {"product": product.pk})
    with pytest.raises(WrongAnswer, match="differ from bare SQL"):
        recount_by_bare_sql(raw)
