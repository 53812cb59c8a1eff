from enum import StrEnum


class WebhookEventType(StrEnum):
    BALANCE_CHANGED = "balance-changed"
    COUPON_EXPIRING = "coupon-expiring"
    COUPON_ISSUED = "coupon-issued"
    ORDER_CANCELLED = "order-cancelled"
    ORDER_COMPLETED = "order-completed"
    ORDER_REFUNDED = "order-refunded"

    def __str__(self) -> str:
        return str(self.value)
