from enum import StrEnum


class UserOrdersStatus(StrEnum):
    CANCELLED = "CANCELLED"
    COMPLETED = "COMPLETED"
    PROCESSING = "PROCESSING"
    REFUNDED = "REFUNDED"

    def __str__(self) -> str:
        return str(self.value)
