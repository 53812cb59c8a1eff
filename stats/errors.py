"""What the statistics cannot use."""


class UnreadableEvent(Exception):
    """A message that is not an order event as the contract describes it."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)
