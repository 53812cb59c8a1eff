from enum import StrEnum


class OrderStatus(StrEnum):
    CANCELLED = "CANCELLED"
    COMPLETED = "COMPLETED"
    PROCESSING = "PROCESSING"

    def __str__(self) -> str:
        return str(self.value)
