"""A small shop with some rows of every kind, all of them delivered and counted."""

from dataclasses import dataclass

from django.db import connection

from balances.models import User
from balances.services import charge_balance
from commerce.audit.record import Staff
from commerce.core import sql
from commerce.idempotency.claims import Answer, Claim
from commerce.idempotency.commit import Idempotency
from commerce.server.json_codec import JSON, dump
from coupons.models import UserCoupon
from orders.events import order_as_json
from orders.models import Order
from orders.services import cancel_order, place_order
from products.models import Product
from products.services import adjust_stock
from tests.factories import CouponFactory, ProductFactory, UserFactory, issued, order_of, refunded


@dataclass(frozen=True)
class BusyShop:
    """`mina` ordered with a coupon, then again; `joon` ordered and cancelled; `sora` charged three times.

    `dana` got two of three chairs refunded, one of them damaged; her order also has an item of price 0.
    """

    mina: User
    joon: User
    sora: User
    pen: Product
    held: UserCoupon
    with_coupon: Order
    last: Order
    cancelled: Order
    chair: Product
    gift: Product
    refunded: Order


def busy_shop() -> BusyShop:
    """Create the rows. All invariants hold, also those of an idle system."""
    mina, joon, sora = UserFactory(), UserFactory(), UserFactory()
    for user in (mina, joon):
        charge_balance(user_id=user.pk, amount=50_000, idempotency=Idempotency.none())
    for amount in (10_000, 20_000):
        charge_balance(user_id=sora.pk, amount=amount, idempotency=Idempotency.none())
    # Skip an id, as after a rollback.
    sql.execute("SELECT nextval('user_balance_tx_id_seq')")
    charge_balance(user_id=sora.pk, amount=30_000, idempotency=Idempotency.none())
    pen, ink = ProductFactory(price=3_000, stock=20), ProductFactory(price=7_000, stock=20)
    coupon = CouponFactory(discount_value=1_000, total_quantity=5)
    held = issued(mina, coupon)
    issued(joon, coupon)
    with_coupon = order_of(mina, {pen: 2, ink: 1}, coupon=held)
    cancelled = order_of(joon, {pen: 1, ink: 2})
    cancel_order(order_id=cancelled.pk, owner_id=joon.pk, idempotency=Idempotency.none())
    adjust_stock(
        product_id=pen.pk, delta=5, by=Staff(joon.pk, "Found behind the shelf."), idempotency=Idempotency.none()
    )
    chair, gift = ProductFactory(price=2_000, stock=20), ProductFactory(price=0, stock=20)
    in_part = _partly_refunded(chair, gift)
    last = _order_with_key(mina, pen)
    _everything_arrived()
    return BusyShop(mina, joon, sora, pen, held, with_coupon, last, cancelled, chair, gift, in_part)


def _partly_refunded(chair: Product, gift: Product) -> Order:
    dana = UserFactory()
    charge_balance(user_id=dana.pk, amount=10_000, idempotency=Idempotency.none())
    order = order_of(dana, {chair: 3, gift: 2})
    refunded(order, {chair: 1}, by=dana.pk)
    refunded(order, {chair: 1}, restock=False, by=dana.pk)
    order.refresh_from_db()
    return order


def _order_with_key(user: User, product: Product) -> Order:
    claim = Claim(user.pk, "a-key", b"f" * 32)
    idempotency = Idempotency(claim, lambda order: Answer(200, JSON, dump(order_as_json(order))))
    placed = place_order(user_id=user.pk, quantities={product.pk: 1}, user_coupon_id=None, idempotency=idempotency)
    return Order.objects.get(pk=placed.id)


def _everything_arrived() -> None:
    """Deliver and count everything. One delivery is an hour old, so that all newer facts must have a message."""
    sql.execute("UPDATE outbox_message SET sent_at = now()")
    sql.execute(
        "UPDATE outbox_message SET sent_at = now() - interval '1 hour' WHERE id = (SELECT min(id) FROM outbox_message)"
    )
    sql.execute(
        """
        INSERT INTO delivery_attempt (message_id, destination, attempted_at, duration_ms, http_status, outcome)
        SELECT id, destination, sent_at, 12, 200, 'acknowledged' FROM outbox_message WHERE destination = 'data-platform'
        """
    )
    sql.execute(
        """
        INSERT INTO processed_event (event_id)
        SELECT DISTINCT event_id FROM outbox_message
        WHERE type IN ('order-completed', 'order-cancelled', 'order-refunded')
        ON CONFLICT DO NOTHING
        """
    )
    sql.execute(
        """
        INSERT INTO product_stat (product_id, date, quantity_sold)
        SELECT product_id, ordered_date, sum(quantity - refunded_quantity)
        FROM order_item JOIN "order" AS purchase ON purchase.id = order_id AND status = 'COMPLETED'
        GROUP BY product_id, ordered_date
        ON CONFLICT DO NOTHING
        """
    )
    sql.execute(
        """
        INSERT INTO dead_letter (topic, partition, "offset", key, payload, headers, reason, replayed_at)
        VALUES ('order-completed', 0, 7, '1', '\\x7b', '[]', 'Not JSON', now()) ON CONFLICT DO NOTHING
        """
    )
    # Rows of a test are not committed, so their foreign keys are still unchecked, and a table with unchecked rows
    # cannot be altered.
    connection.check_constraints()
