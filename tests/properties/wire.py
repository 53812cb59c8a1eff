"""The expected responses and events for the model shop, in the format of the API contract.

Does not use the shop's own serializers or events.
"""

from datetime import datetime
from typing import Any

from commerce.outbox.publish import event_id
from tests.properties.model_shop import JSON, Entry, Fact, GivenBack, Held, ModelShop, Offer, Purchase

STATUS_OF = {
    "user_not_found": 404,
    "product_not_found": 404,
    "coupon_not_found": 404,
    "order_not_found": 404,
    "insufficient_balance": 400,
    "balance_limit_exceeded": 400,
    "out_of_stock": 400,
    "coupon_sold_out": 400,
    "coupon_already_issued": 400,
    "coupon_not_open": 400,
    "coupon_not_usable": 400,
    "order_not_cancellable": 409,
    "order_not_refundable": 409,
    "refund_exceeds_order": 400,
    "idempotency_key_reused": 422,
}
DESTINATIONS = {
    "balance-changed": ["kafka"],
    "coupon-issued": ["kafka"],
    "order-completed": ["kafka", "data-platform", "product-stats"],
    "order-cancelled": ["kafka", "data-platform", "product-stats"],
    "order-refunded": ["kafka", "data-platform", "product-stats"],
}
_KIND = {"balance-changed": "ledger-entry", "coupon-issued": "user-coupon", "order-refunded": "refund"}


class Wire:
    """Renders for one shop: times are in its time zone."""

    def __init__(self, shop: ModelShop) -> None:
        self._shop = shop

    def entry(self, entry: Entry) -> JSON:
        return {
            "id": entry.id,
            "type": entry.type,
            "amount": entry.amount,
            "balanceAfter": entry.balance_after,
            "orderId": entry.order_id,
            "createdAt": self._time(entry.created_at),
        }

    def charge(self, entry: Entry) -> JSON:
        return {"userId": entry.user_id, "balance": entry.balance_after, "transaction": self.entry(entry)}

    def held(self, held: Held) -> JSON:
        return {
            "id": held.id,
            "couponId": held.offer.id,
            **self._promise(held.offer),
            "status": held.status(self._shop.now),
            "issuedAt": self._time(held.issued_at),
            "expiresAt": self._time(held.expires_at),
            "usedAt": self._time(held.used_at),
        }

    def offer(self, offer: Offer) -> JSON:
        return {
            "id": offer.id,
            **self._promise(offer),
            "totalQuantity": offer.terms.total_quantity,
            "remaining": offer.terms.total_quantity - offer.issued,
            "issueStartsAt": self._time(offer.terms.issue_starts_at),
            "issueEndsAt": self._time(offer.terms.issue_ends_at),
            "validUntil": self._time(offer.terms.valid_until),
        }

    def order(self, purchase: Purchase, *, at_first: bool = False) -> JSON:
        """`at_first`: as it was before its cancellation or refunds."""
        cancelled_at = None if at_first else purchase.cancelled_at
        return {
            "id": purchase.id,
            "userId": purchase.user_id,
            "status": "COMPLETED" if at_first else purchase.status,
            "items": [
                {
                    **line,
                    "refundedQuantity": line["quantity"]
                    if cancelled_at
                    else 0
                    if at_first
                    else line["refundedQuantity"],
                }
                for line in purchase.lines
            ],
            "totalAmount": purchase.total,
            "discountAmount": purchase.discount,
            "paidAmount": purchase.paid,
            "refundedAmount": purchase.paid if cancelled_at else 0 if at_first else purchase.refunded,
            "userCouponId": purchase.held.id if purchase.held else None,
            "createdAt": self._time(purchase.created_at),
            "completedAt": self._time(purchase.created_at),
            "cancelledAt": self._time(cancelled_at),
        }

    def refund(self, refund: GivenBack) -> JSON:
        return {
            "id": refund.id,
            "orderId": refund.purchase.id,
            "items": refund.lines,
            "amount": refund.amount,
            "restock": refund.restock,
            "reason": refund.reason,
            "createdAt": self._time(refund.created_at),
            "order": refund.order_shown,
        }

    def messages(self, fact: Fact) -> list[JSON]:
        """One for each destination."""
        happened_at, event_body = self._told(fact)
        assert happened_at is not None
        kind = _KIND.get(fact.type, "order")
        return [
            {
                "event_id": event_id(fact.type, fact.about.id, happened_at),
                "type": fact.type,
                "aggregate_type": kind,
                "aggregate_id": str(fact.about.user_id),
                "destination": destination,
                "payload": {
                    "specversion": "1.0",
                    "id": event_id(fact.type, fact.about.id, happened_at),
                    "source": "/commerce",
                    "type": fact.type,
                    "subject": f"{kind}/{fact.about.id}",
                    "time": self._time(happened_at),
                    "datacontenttype": "application/json",
                    "data": event_body,
                },
            }
            for destination in DESTINATIONS[fact.type]
        ]

    def _told(self, fact: Fact) -> tuple[datetime | None, JSON]:
        match fact.about:
            case Entry() as entry:
                shown = self.entry(entry)
                return entry.created_at, {
                    "userId": entry.user_id,
                    "transactionId": entry.id,
                    **{name: shown[name] for name in ("type", "amount", "balanceAfter", "orderId")},
                }
            case Held() as held:
                ids: JSON = {"userId": held.user_id, "userCouponId": held.id, "couponId": held.offer.id}
                return held.issued_at, ids
            case GivenBack() as refund:
                return refund.created_at, self.refund(refund)
            case Purchase() as purchase:
                at_first = fact.type == "order-completed"
                happened_at = purchase.created_at if at_first else purchase.cancelled_at
                return happened_at, self.order(purchase, at_first=at_first)

    @staticmethod
    def _promise(offer: Offer) -> JSON:
        return {
            "name": offer.terms.name,
            "discountType": offer.terms.discount_type,
            "discountValue": offer.terms.discount_value,
            "maxDiscount": offer.terms.max_discount,
            "minOrderAmount": offer.terms.min_order_amount,
        }

    def _time(self, moment: datetime | None) -> Any:
        return moment.astimezone(self._shop.zone).isoformat() if moment else None
