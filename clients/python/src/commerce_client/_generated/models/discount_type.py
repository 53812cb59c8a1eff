from enum import StrEnum


class DiscountType(StrEnum):
    FIXED = "FIXED"
    PERCENT = "PERCENT"

    def __str__(self) -> str:
        return str(self.value)
