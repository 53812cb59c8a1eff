"""The events of an order: the same shape in the API, in Kafka and to the data platform."""

from datetime import datetime
from typing import Any

from commerce.core.times import local_time
from commerce.outbox.publish import Event
from orders.models import Order
from orders.rules import PlacedOrder

ORDER_COMPLETED = "order-completed"
ORDER_CANCELLED = "order-cancelled"


def order_completed(order: Order | PlacedOrder) -> Event:
    return _event(ORDER_COMPLETED, order, order.created_at)


def order_cancelled(order: Order) -> Event:
    return _event(ORDER_CANCELLED, order, order.cancelled_at or order.created_at)


def order_as_json(order: Order | PlacedOrder) -> dict[str, Any]:
    """The order as the contract shows it, times in the shop's zone."""
    return {
        "id": order.id,
        "userId": order.user_id,
        "status": str(order.status),
        "items": [
            {
                "productId": line.product_id,
                "productName": line.product_name,
                "unitPrice": line.unit_price,
                "quantity": line.quantity,
                "subtotal": line.subtotal,
            }
            for line in order.lines
        ],
        "totalAmount": order.total_amount,
        "discountAmount": order.discount_amount,
        "paidAmount": order.paid_amount,
        "userCouponId": order.user_coupon_id,
        "createdAt": local_time(order.created_at),
        "completedAt": local_time(order.completed_at),
        "cancelledAt": local_time(order.cancelled_at),
    }


def _event(event_type: str, order: Order | PlacedOrder, occurred_at: datetime) -> Event:
    return Event(event_type, order.id, "order", order.user_id, occurred_at, order_as_json(order))
