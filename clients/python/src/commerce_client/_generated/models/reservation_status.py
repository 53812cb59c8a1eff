from enum import StrEnum


class ReservationStatus(StrEnum):
    EXPIRED = "EXPIRED"
    HELD = "HELD"
    PAID = "PAID"
    RELEASED = "RELEASED"
    REPLACED = "REPLACED"

    def __str__(self) -> str:
        return str(self.value)
