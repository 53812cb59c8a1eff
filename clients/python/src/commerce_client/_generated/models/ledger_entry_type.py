from enum import StrEnum


class LedgerEntryType(StrEnum):
    ADJUSTMENT = "ADJUSTMENT"
    CHARGE = "CHARGE"
    PAYMENT = "PAYMENT"
    REFUND = "REFUND"

    def __str__(self) -> str:
        return str(self.value)
