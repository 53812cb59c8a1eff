from enum import StrEnum


class Unusable(StrEnum):
    BELOW_MINIMUM = "below_minimum"
    EXPIRED = "expired"
    NOT_OWNED = "not_owned"
    USED = "used"

    def __str__(self) -> str:
        return str(self.value)
