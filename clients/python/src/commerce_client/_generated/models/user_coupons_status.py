from enum import StrEnum


class UserCouponsStatus(StrEnum):
    ALL = "ALL"
    AVAILABLE = "AVAILABLE"
    EXPIRED = "EXPIRED"
    USED = "USED"

    def __str__(self) -> str:
        return str(self.value)
