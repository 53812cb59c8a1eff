from enum import StrEnum


class WebhookOffBecause(StrEnum):
    FAILING = "failing"
    GONE = "gone"
    STAFF = "staff"

    def __str__(self) -> str:
        return str(self.value)
