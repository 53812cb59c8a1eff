"""Clients that send requests concurrently, each with its own seeded mix of charges, coupons, orders, cancels and reads.

Contains the threads and the choice of requests. The responses are recorded in the history.
"""

import threading
from collections.abc import Mapping
from random import Random
from typing import Any

from tests.faults.caller import CLIENT_SECONDS, Caller
from tests.faults.history import READ, Call, History, Outcome
from tests.faults.scene import Scene

MIX: Mapping[str, int] = {"order": 45, "read": 20, "charge": 15, "cancel": 12, "issue": 8}
"""The frequency of each kind, in percent."""
ORDERS: Mapping[str, int] = {"order": 85, "cancel": 15}
TROUBLE_PAUSE_SECONDS = 0.2
"""A client's mean pause after a refused or lost connection, or a response with an error."""
PAUSE_SECONDS = 0.04
"""The mean pause of a client between two requests."""


class Crowd:
    """Clients that run from `start` to `stop`."""

    def __init__(
        self,
        *,
        port: int,
        scene: Scene,
        history: History,
        clients: int,
        seed: int,
        mix: Mapping[str, int] = MIX,
        pause_seconds: float = PAUSE_SECONDS,
    ) -> None:
        self._stopping = threading.Event()
        self._clients = [
            _Client(
                Caller(port, history, name=f"client-{number}"),
                scene,
                Random(f"{seed}:{number}"),
                mix=mix,
                pause_seconds=pause_seconds,
                stopping=self._stopping,
            )
            for number in range(clients)
        ]

    def start(self) -> None:
        for client in self._clients:
            client.start()

    def stop(self) -> None:
        """Let all clients finish their current request. Raises the exception of a failed client thread."""
        self._stopping.set()
        for client in self._clients:
            client.join(CLIENT_SECONDS + 3)
        for client in self._clients:
            if client.failure is not None:
                raise client.failure
            assert not client.is_alive(), f"{client.name} waits for ever"


class _Client(threading.Thread):
    """One client. Its next request depends on its own random numbers and on earlier responses."""

    def __init__(
        self,
        caller: Caller,
        scene: Scene,
        random: Random,
        *,
        mix: Mapping[str, int],
        pause_seconds: float,
        stopping: threading.Event,
    ) -> None:
        super().__init__(name=caller.name, daemon=True)
        self.failure: BaseException | None = None
        self._caller = caller
        self._scene = scene
        self._random = random
        self._kinds = list(mix)
        self._weights = list(mix.values())
        self._pause_seconds = pause_seconds
        self._stopping = stopping
        self._orders: list[tuple[int, int]] = []
        self._coupons: list[tuple[int, int]] = []
        self._sent = 0

    def run(self) -> None:
        try:
            while not self._stopping.wait(self._random.uniform(0, 2 * self._pause_seconds)):
                (kind,) = self._random.choices(self._kinds, self._weights)
                self._remember(self._act(kind))
        except BaseException as failure:  # noqa: BLE001 - raised where the crowd is stopped
            self.failure = failure
        finally:
            self._caller.close()

    def _act(self, kind: str) -> Call:
        user_id = self._random.choice(self._scene.users)
        if kind == "charge":
            return self._write(kind, user_id, "/api/balance/charge", {"amount": self._random.randint(1, 5_000)})
        if kind == "issue":
            return self._write(kind, user_id, f"/api/coupons/{self._random.choice(self._scene.coupons)}/issue")
        if kind == "cancel" and self._orders:
            # The same order may be chosen again: a second cancellation is refused.
            user_id, order_id = self._random.choice(self._orders[-30:])
            return self._write(kind, user_id, f"/api/orders/{order_id}/cancel")
        if kind == READ:
            return self._read(user_id)
        return self._order(user_id)

    def _order(self, user_id: int) -> Call:
        chosen = self._random.sample(self._scene.products, self._random.randint(1, 3))
        if self._random.random() < 0.1:
            chosen.append(self._random.choice(self._scene.scarce))
        body: dict[str, Any] = {
            "items": [{"productId": product, "quantity": self._random.randint(1, 3)} for product in chosen]
        }
        if self._coupons and self._random.random() < 0.5:
            # Usually an available one of the customer, and sometimes one that is used already.
            user_id, body["userCouponId"] = self._random.choice(self._coupons)
        return self._write("order", user_id, "/api/orders", body)

    def _read(self, user_id: int) -> Call:
        paths = [
            f"/api/balance/{user_id}",
            "/api/users/balance/history",
            "/api/products",
            "/api/products/popular",
            "/api/coupons",
            "/api/users/coupons",
            "/api/users/orders",
        ]
        path = self._random.choice(paths)
        if self._orders and self._random.random() < 0.4:
            user_id, order_id = self._random.choice(self._orders[-30:])
            path = f"/api/orders/{order_id}"
        return self._caller.call(READ, "GET", path, user_id=user_id, token=self._scene.tokens[user_id])

    def _write(self, kind: str, user_id: int, path: str, body: Any = None) -> Call:
        self._sent += 1
        return self._caller.call(
            kind,
            "POST",
            path,
            user_id=user_id,
            token=self._scene.tokens[user_id],
            body=body,
            key=f"{self._caller.name}-{self._sent}-{self._random.getrandbits(32):08x}",
        )

    def _remember(self, call: Call) -> None:
        if call.failed:
            # After a refused connection or an error a client pauses, instead of sending a hundred requests per second.
            self._stopping.wait(self._random.uniform(0, 2 * TROUBLE_PAUSE_SECONDS))
        if call.outcome is not Outcome.ACKNOWLEDGED:
            return
        if call.kind == "order":
            self._orders.append((call.user_id, call.json["id"]))
        elif call.kind == "issue":
            self._coupons.append((call.user_id, call.json["id"]))
