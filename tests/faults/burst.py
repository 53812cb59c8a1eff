"""Simultaneous requests: sends all but the last byte of each request, then the last bytes of all.

Contains the connections of the burst. The outcome of each request is recorded in the history.
"""

import http.client
import json
import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from commerce.embedded.ports import LOOPBACK
from tests.faults.caller import CLIENT_SECONDS, Caller
from tests.faults.entry import POINTS_HEADER
from tests.faults.fault import NotFired, Run
from tests.faults.history import Call, History

_TOLD_TO_COME_BACK_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True)
class Ask:
    """A write request.

    Attributes:
        points: the prefix of its own failpoints, if any.
        judged: whether it is part of the history. The fault itself checks requests that must fail.
    """

    kind: str
    user_id: int
    path: str
    key: str
    body: Any = None
    points: str | None = None
    judged: bool = True


def key_of(run: Run) -> str:
    """A unique Idempotency-Key."""
    return f"strike-{run.random.getrandbits(48):012x}"


def order(user_id: int, quantities: dict[int, int], *, key: str, coupon: int | None = None, **more: Any) -> Ask:
    """An order of units by product, with or without a coupon of the customer."""
    body: dict[str, Any] = {"items": [{"productId": each, "quantity": units} for each, units in quantities.items()]}
    if coupon is not None:
        body["userCouponId"] = coupon
    return Ask(kind="order", user_id=user_id, path="/api/orders", key=key, body=body, **more)


def issue(user_id: int, coupon_id: int, *, key: str, **more: Any) -> Ask:
    """One unit of a coupon."""
    return Ask(kind="issue", user_id=user_id, path=f"/api/coupons/{coupon_id}/issue", key=key, **more)


def cancel(user_id: int, order_id: int, *, key: str, **more: Any) -> Ask:
    """The cancellation of an order."""
    return Ask(kind="cancel", user_id=user_id, path=f"/api/orders/{order_id}/cancel", key=key, **more)


def refund(
    staff_id: int, order_id: int, quantities: dict[int, int], *, key: str, restock: bool = True, **more: Any
) -> Ask:
    """Units of an order given back by staff."""
    items = [{"productId": each, "quantity": units} for each, units in quantities.items()]
    body = {"items": items, "reason": "Sent back.", "restock": restock}
    return Ask(kind="refund", user_id=staff_id, path=f"/api/orders/{order_id}/refunds", key=key, body=body, **more)


def charge(user_id: int, amount: int, *, key: str, **more: Any) -> Ask:
    """A charge, in won."""
    return Ask(kind="charge", user_id=user_id, path="/api/balance/charge", key=key, body={"amount": amount}, **more)


def _history(run: Run, asked: Ask) -> History:
    return run.history if asked.judged else History()


def ask(run: Run, asked: Ask) -> Call:
    """Send one request on a new connection."""
    caller = Caller(run.shop.port, _history(run, asked), name="single")
    try:
        return caller.call(
            asked.kind,
            "POST",
            asked.path,
            user_id=asked.user_id,
            token=run.scene.tokens[asked.user_id],
            body=asked.body,
            key=asked.key,
            points=asked.points,
        )
    finally:
        caller.close()


def acknowledged(run: Run, asked: Ask) -> Call:
    """Send one request that must succeed for the strike to continue; retry it while it gets 503.

    What an earlier strike killed holds its locks for seconds. Raises NotFired.
    """
    again_until = time.monotonic() + _TOLD_TO_COME_BACK_SECONDS
    call = ask(run, asked)
    while call.status == 503 and time.monotonic() < again_until:
        # A separate key, because the judge distinguishes refused and executed requests by it.
        asked = replace(asked, key=f"{asked.key}-again")
        call = ask(run, asked)
    if call.status != 200:
        raise NotFired(f"what the strike stands on was not acknowledged: {call}")
    return call


def burst(run: Run, asks: Sequence[Ask], *, more_than_room: bool = False) -> list[Call]:
    """Send all requests simultaneously; returns their calls in the order of `asks`.

    Raises NotFired if half of them were answered before the last one was sent, unless `more_than_room`: some must then
    be refused.
    """
    shots = [_Shot(run, asked) for asked in asks]
    try:
        for shot in shots:
            shot.hold_back()
        for shot in shots:
            shot.start()
        for shot in shots:
            shot.let_go()
        all_sent_at = time.monotonic()
    finally:
        for shot in shots:
            shot.finish()
    calls = [shot.call for shot in shots]
    early = sum((call.answered_at or all_sent_at) < all_sent_at for call in calls)
    if early > len(calls) / 2 and not more_than_room:
        raise NotFired("half of a burst was answered before all of it was sent")
    return calls


class _Shot:
    """One request of a burst, with its own socket and thread."""

    def __init__(self, run: Run, asked: Ask) -> None:
        self._run = run
        self._message = _message(asked, token=run.scene.tokens[asked.user_id])
        self._socket: socket.socket | None = None
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._started = False
        self.call = _history(run, asked).begin(
            client="burst",
            kind=asked.kind,
            user_id=asked.user_id,
            method="POST",
            path=asked.path,
            body=asked.body,
            key=asked.key,
        )

    def hold_back(self) -> None:
        """Send all but the last byte."""
        with self._failures_noted():
            self._socket = socket.create_connection((LOOPBACK, self._run.shop.port), timeout=CLIENT_SECONDS)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.call.from_port = self._socket.getsockname()[1]
            self._socket.sendall(self._message[:-1])

    def start(self) -> None:
        """Wait for the response in a thread."""
        if self._socket is not None:
            self._started = True
            self._reader.start()

    def let_go(self) -> None:
        """Send the last byte. The client's waiting time starts here."""
        if self.call.answered_at is None:
            self.call.sent_at = time.monotonic()
        if self._socket is not None:
            with self._failures_noted():
                self._socket.sendall(self._message[-1:])

    def finish(self) -> None:
        """Wait until the response has arrived or cannot arrive any more."""
        if self._started:
            self._reader.join(CLIENT_SECONDS + 3)
        if self._socket is not None:
            self._socket.close()

    def _read(self) -> None:
        assert self._socket is not None
        with self._failures_noted():
            response = http.client.HTTPResponse(self._socket, method="POST")
            response.begin()
            Caller.read(response, self.call)
        self.call.answered_at = time.monotonic()

    def _failures_noted(self) -> "_Noted":
        return _Noted(self.call)


class _Noted:
    """Records a lost connection as an unknown outcome."""

    def __init__(self, call: Call) -> None:
        self._call = call

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> bool:
        if not isinstance(error, OSError | http.client.HTTPException):
            return False
        self._call.status = None
        self._call.never_sent = isinstance(error, ConnectionRefusedError)
        self._call.trouble = f"{type(error).__name__}: {error}"
        self._call.answered_at = time.monotonic()
        return True


def _message(asked: Ask, *, token: str) -> bytes:
    content = b"" if asked.body is None else json.dumps(asked.body).encode()
    headers = {
        "Host": LOOPBACK,
        "Authorization": f"Bearer {token}",
        "Idempotency-Key": asked.key,
        "Connection": "close",
        "Content-Length": str(len(content)),
    }
    if content:
        headers["Content-Type"] = "application/json"
    if asked.points is not None:
        headers[POINTS_HEADER] = asked.points
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST {asked.path} HTTP/1.1\r\n{head}\r\n".encode() + content
