from enum import StrEnum


class UserCouponStatus(StrEnum):
    AVAILABLE = "AVAILABLE"
    EXPIRED = "EXPIRED"
    USED = "USED"

    def __str__(self) -> str:
        return str(self.value)
