"""Verifies and parses calls of the shop to the receiver of orders.

A call may be repeated with the same `Idempotency-Key`, and a cancel or a refund may arrive before its order. Store the
key and the event in one transaction, then respond with 2xx.
"""

import hashlib
import hmac
import json
import time
from collections.abc import Iterable

from commerce_client.models import OrderCancelledEvent, OrderCompletedEvent, OrderRefundedEvent


class NotFromTheShop(Exception):
    """The signature is missing, wrong or too old. Respond with 401."""


def read(
    body: bytes,
    signature: str,
    secrets: str | Iterable[str],
    *,
    now: float | None = None,
    tolerance_seconds: float = 300.0,
) -> OrderCompletedEvent | OrderCancelledEvent | OrderRefundedEvent:
    """Verify a call and return its event.

    Args:
        body: the received bytes, unchanged.
        signature: the header `X-Signature`.
        secrets: the secrets shared with the shop; several during a rotation.
        now: the time in Unix seconds; default: the current time.
        tolerance_seconds: how old a call may be, against replays.

    Raises NotFromTheShop, and ValueError for an unknown event type.
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
    """Verify the signature of a call. Raises NotFromTheShop."""
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
    """The timestamp as text, and the signatures."""
    parts = [part.partition("=")[::2] for part in signature.split(",")]
    times = [value for name, value in parts if name == "t"]
    given = [value for name, value in parts if name == "v1"]
    readable = signature.isascii() and len(times) == 1 and times[0].isdigit() and len(times[0]) <= 12
    if not readable or not given:
        raise NotFromTheShop("The signature cannot be read.")
    return times[0], given
