"""For the receiver of orders: is a call from the shop, and what does it say?

A call may come again with the same `Idempotency-Key`, and a cancel or a refund may come before its order. Keep the keys
that you have seen, answer with 2xx once you have kept the event, and do both in one transaction.
"""

import hashlib
import hmac
import json
import time
from collections.abc import Iterable

from commerce_client.models import OrderCancelledEvent, OrderCompletedEvent, OrderRefundedEvent


class NotFromTheShop(Exception):
    """The signature is missing, wrong or too old. Answer with 401 and do nothing."""


def read(
    body: bytes,
    signature: str,
    secrets: str | Iterable[str],
    *,
    now: float | None = None,
    tolerance_seconds: float = 300.0,
) -> OrderCompletedEvent | OrderCancelledEvent | OrderRefundedEvent:
    """The event in a call whose signature is right.

    Args:
        body: the bytes as they came, before anything has parsed them.
        signature: the header `X-Signature`.
        secrets: what is shared with the shop; several while it is changed.
        now: the time in unix seconds, if it is not that of this machine.
        tolerance_seconds: how old a call may be, so that a recorded one cannot be played again later.

    Raises NotFromTheShop, and ValueError for a kind of event that this client does not know.
    """
    verify(body, signature, secrets, now=now, tolerance_seconds=tolerance_seconds)
    event = json.loads(body)
    match event.get("type"):
        case "order-completed":
            return OrderCompletedEvent.from_dict(event)
        case "order-cancelled":
            return OrderCancelledEvent.from_dict(event)
        case "order-refunded":
            return OrderRefundedEvent.from_dict(event)
        case unknown:
            raise ValueError(f"An event of the type {unknown!r} is not known.")


def verify(
    body: bytes,
    signature: str,
    secrets: str | Iterable[str],
    *,
    now: float | None = None,
    tolerance_seconds: float = 300.0,
) -> None:
    """The first half of `read`. Raises NotFromTheShop."""
    sent_at, given = _parts(signature)
    if abs((time.time() if now is None else now) - int(sent_at)) > tolerance_seconds:
        raise NotFromTheShop("The call is too old, or from the future.")
    signed = sent_at.encode() + b"." + body
    for secret in [secrets] if isinstance(secrets, str) else secrets:
        expected = hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
        if any(hmac.compare_digest(expected, each) for each in given):
            return
    raise NotFromTheShop("The signature is not right.")


def _parts(signature: str) -> tuple[str, list[str]]:
    """The time of sending as it is written, and the signatures."""
    parts = [part.partition("=")[::2] for part in signature.split(",")]
    times = [value for name, value in parts if name == "t"]
    given = [value for name, value in parts if name == "v1"]
    readable = signature.isascii() and len(times) == 1 and times[0].isdigit() and len(times[0]) <= 12
    if not readable or not given:
        raise NotFromTheShop("The signature cannot be read.")
    return times[0], given
