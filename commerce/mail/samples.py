"""A sample event of each type, for the previews of e-mails."""

from typing import Any

_ORDER: dict[str, Any] = {
    "id": 1042,
    "userId": 7,
    "status": "COMPLETED",
    "items": [
        {
            "productId": 1,
            "productName": "무선 마우스",
            "unitPrice": 15_900,
            "quantity": 2,
            "subtotal": 31_800,
            "refundedQuantity": 0,
        },
        {
            "productId": 2,
            "productName": "USB-C cable, 1 m",
            "unitPrice": 6_800,
            "quantity": 1,
            "subtotal": 6_800,
            "refundedQuantity": 0,
        },
    ],
    "totalAmount": 38_600,
    "discountAmount": 3_860,
    "paidAmount": 34_740,
    "userCouponId": 11,
    "createdAt": "2026-01-01T09:00:00+09:00",
    "completedAt": "2026-01-01T09:00:00+09:00",
    "cancelledAt": None,
    "refundedAmount": 0,
}

_ORDER_IN_PART = {
    **_ORDER,
    "items": [{**_ORDER["items"][0], "refundedQuantity": 1}, _ORDER["items"][1]],
    "refundedAmount": 14_310,
}

_DATA: dict[str, dict[str, Any]] = {
    "order-completed": _ORDER,
    "order-cancelled": {
        **_ORDER,
        "status": "CANCELLED",
        "cancelledAt": "2026-01-02T18:30:00+09:00",
        "refundedAmount": 34_740,
    },
    "order-refunded": {
        "id": 5,
        "orderId": 1042,
        "items": [{"productId": 1, "quantity": 1, "amount": 14_310}],
        "amount": 14_310,
        "restock": True,
        "reason": "Too many",
        "createdAt": "2026-01-03T11:20:00+09:00",
        "order": _ORDER_IN_PART,
    },
    "coupon-expiring": {
        "userId": 7,
        "userCouponId": 11,
        "couponId": 3,
        "name": "10% off / 10% 할인",
        "discountType": "PERCENT",
        "discountValue": 10,
        "maxDiscount": 5_000,
        "minOrderAmount": 20_000,
        "expiresAt": "2026-01-04T23:59:00+09:00",
    },
}


def sample(event_type: str) -> dict[str, Any]:
    """A CloudEvent of this type. Raises KeyError for a type without an e-mail."""
    return {"id": f"{event_type}:1042:1767225600000000", "type": event_type, "data": _DATA[event_type]}
