"""Events of orders, with the same JSON as in the API."""

from datetime import datetime
from typing import Any

from commerce.core.times import local_time
from commerce.outbox.publish import Event
from orders.models import Order, Refund
from orders.rules import CANCELLED, MadeRefund, PlacedOrder

ORDER_COMPLETED = "order-completed"
ORDER_CANCELLED = "order-cancelled"
ORDER_REFUNDED = "order-refunded"


def order_completed(order: Order | PlacedOrder) -> Event:
    return _event(ORDER_COMPLETED, order, order.created_at)


def order_cancelled(order: Order) -> Event:
    return _event(ORDER_CANCELLED, order, order.cancelled_at or order.created_at)


def order_refunded(refund: MadeRefund, order: Order) -> Event:
    """`order`: as it is after the refund."""
    data = {**refund_as_json(refund), "order": order_as_json(order)}
    return Event(ORDER_REFUNDED, refund.id, "refund", order.user_id, refund.created_at, data)


def refund_as_json(refund: Refund | MadeRefund) -> dict[str, Any]:
    """The refund as the API returns it, without its order."""
    return {
        "id": refund.id,
        "orderId": refund.order_id,
        "items": [
            {"productId": line.product_id, "quantity": line.quantity, "amount": line.amount} for line in refund.lines
        ],
        "amount": refund.amount,
        "restock": refund.restock,
        "reason": refund.reason,
        "createdAt": local_time(refund.created_at),
    }


def order_as_json(order: Order | PlacedOrder) -> dict[str, Any]:
    """The order as the API returns it, with times in the shop's time zone.

    A cancelled order counts as returned in full, although it has no refunds.
    """
    all_is_back = order.status == CANCELLED
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
                "refundedQuantity": line.quantity if all_is_back else line.refunded_quantity,
            }
            for line in order.lines
        ],
        "totalAmount": order.total_amount,
        "discountAmount": order.discount_amount,
        "paidAmount": order.paid_amount,
        "refundedAmount": order.paid_amount if all_is_back else order.refunded_amount,
        "userCouponId": order.user_coupon_id,
        "createdAt": local_time(order.created_at),
        "completedAt": local_time(order.completed_at),
        "cancelledAt": local_time(order.cancelled_at),
    }


def _event(event_type: str, order: Order | PlacedOrder, occurred_at: datetime) -> Event:
    return Event(event_type, order.id, "order", order.user_id, occurred_at, order_as_json(order))
