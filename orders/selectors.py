"""Reading orders; never writes."""

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import OuterRef, QuerySet
from django.db.models.functions import JSONObject

from orders.errors import OrderNotFound
from orders.models import LINE_FIELDS, Order, OrderItem


def with_lines(orders: "QuerySet[Order]") -> "QuerySet[Order]":
    """The orders with their items in the same query."""
    items = OrderItem.objects.filter(order=OuterRef("pk")).order_by("id")
    return orders.annotate(
        item_rows=ArraySubquery(items.values(json=JSONObject(**{name: name for name in LINE_FIELDS})))
    )


def orders_of(user_id: int, *, status: str | None) -> "QuerySet[Order]":
    """The user's orders, of one status where given."""
    orders = Order.objects.filter(user_id=user_id)
    return with_lines(orders.filter(status=status) if status else orders)


def order_for(order_id: int, *, owner_id: int | None) -> Order:
    """One order; of `owner_id` only, where given.

    Raises OrderNotFound, also for someone else's order: that it exists is nobody else's business.
    """
    orders = Order.objects.filter(id=order_id)
    if owner_id is not None:
        orders = orders.filter(user_id=owner_id)
    order = with_lines(orders).first()
    if order is None:
        raise OrderNotFound(order_id)
    return order
