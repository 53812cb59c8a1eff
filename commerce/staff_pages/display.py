"""How the back-office writes what the shop counts in."""


def won(amount: int | None) -> str:
    """₩12,300; nothing where there is no amount."""
    if amount is None:
        return ""
    return f"{'-' if amount < 0 else ''}₩{abs(amount):,}"


def won_moved(amount: int) -> str:
    """+₩12,300 or -₩12,300."""
    return f"{'-' if amount < 0 else '+'}₩{abs(amount):,}"
