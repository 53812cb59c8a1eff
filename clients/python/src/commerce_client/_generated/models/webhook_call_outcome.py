from enum import StrEnum


class WebhookCallOutcome(StrEnum):
    ACKNOWLEDGED = "acknowledged"
    NO_ANSWER = "no-answer"
    REFUSED = "refused"

    def __str__(self) -> str:
        return str(self.value)
