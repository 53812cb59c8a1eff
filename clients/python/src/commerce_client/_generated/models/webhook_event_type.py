from enum import StrEnum


class WebhookEventType(StrEnum):
    BALANCE_CHANGED = "balance-changed"
    COUPON_ISSUED = "coupon-issued"
    ORDER_CANCELLED = "order-cancelled"
    ORDER_COMPLETED = "order-completed"

    def __str__(self) -> str:
        return str(self.value)
