"""The base class of a fault, and the run in which it happens.

The faults are in the modules beside it, one file each (`f01_….py`).
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import ClassVar

from tests.faults.caller import Caller
from tests.faults.history import Call, History
from tests.faults.scene import Scene
from tests.faults.servers import Servers
from tests.faults.shop import Shop, Variant

HEALTHY_SECONDS = 10.0
"""How soon after the end of a fault the shop must have recovered automatically."""
_WAIT_FOR_HEALTH_SECONDS = 40.0
_PROBE_PAUSE_SECONDS = 0.05
_LOOK_SECONDS = 0.02


class NotFired(Exception):
    """The fault was injected but did not happen: such a run proves nothing."""


@dataclass
class Shot:
    """One injection of the fault.

    Attributes:
        what: the evidence that it happened, in a few words.
        struck_at, healed_at: monotonic seconds.
        recovery_seconds: from `healed_at` until the shop had recovered; None if it had not.
    """

    what: str
    struck_at: float
    healed_at: float = 0.0
    recovery_seconds: float | None = None


@dataclass
class Run:
    """The objects that a fault may use.

    Attributes:
        random: random numbers of the schedule, which only depends on the seed.
        caller: a connection of the main thread; its calls are part of the history and checked like all others.
        wrong: violations found by the fault itself, as messages; part of the run's violations.
    """

    servers: Servers
    shop: Shop
    scene: Scene
    history: History
    random: Random
    caller: Caller
    shots: list[Shot] = field(default_factory=list)
    probes: int = 0
    wrong: list[str] = field(default_factory=list)

    def pause(self, seconds: float) -> None:
        """Wait while the load runs. Processes that end meanwhile are restarted."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self.shop.look_after()
            time.sleep(min(left, _LOOK_SECONDS))

    def wait_until(self, true: Callable[[], bool], *, seconds: float) -> bool:
        """Whether it became true in time. The load runs meanwhile."""
        until = time.monotonic() + seconds
        while not true():
            if time.monotonic() > until:
                return False
            self.pause(_LOOK_SECONDS)
        return True

    def fired(self, point: str) -> int:
        """How often `point` has been reached so far."""
        return sum(firing.point == point for firing in self.shop.points.fired())

    def wait_for_point(self, point: str, *, fired_before: int = 0, seconds: float = 10.0) -> int:
        """Return the process id that `point` happened to, once it has. Raises NotFired.

        `fired_before`: how often it had fired before it was armed.
        """
        if not self.wait_until(lambda: self.fired(point) > fired_before, seconds=seconds):
            raise NotFired(f"nobody reached {point} within {seconds:.0f} s")
        return [firing.pid for firing in self.shop.points.fired() if firing.point == point][-1]

    def probe(self) -> Call:
        """Place an order on a new connection."""
        self.probes += 1
        prober = Caller(self.shop.port, self.history, name="probe")
        user_id = self.scene.probe_user
        try:
            return prober.call(
                "order",
                "POST",
                "/api/orders",
                user_id=user_id,
                token=self.scene.tokens[user_id],
                body={"items": [{"productId": self.scene.products[0], "quantity": 1}]},
                key=f"probe-{self.probes}-{self.random.getrandbits(32):08x}",
            )
        finally:
            prober.close()


class Fault(ABC):
    """A fault. A subclass defines how it is injected and how it ends.

    `strike` and `heal` are called in turn under load, in the main thread, until the time of the run is over or there
    were `most_shots`. Both may use `run.shop`, `run.servers` and `run.random`.

    Attributes:
        number: `F12`, with a letter if one number has several faults.
        title: what happens, in a few words.
        protection: what the control removes.
        control_shows: part of the violation that the control must lead to, or of each if there are several. Other
            violations do not count.
        gap_seconds: between two shots, chosen at random. `hold_seconds`: the duration of a shot.
        fewest_shots, most_shots: of one run; the minimum applies however long it takes.
        sells_on: whether orders are acknowledged, and none fails, during the shot.
        slowest_order_seconds: the longest duration of an order during the shot; None: the same as for any request.
        healthy_seconds: how soon after its end the shop must have recovered automatically.
        patience_seconds: how long there may be no progress before the remaining events count as lost.
        reads_topics: whether the judge also reads all events from Kafka: none missing, in order per user.
        in_short, control_in_short: whether it, and its control, are part of the short run. If selected by name they
            always run.
        needs_apache_kafka: whether the broker must persist its data when it is killed, unlike the embedded one.
    """

    number: ClassVar[str]
    title: ClassVar[str]
    protection: ClassVar[str]
    control_shows: ClassVar[str | tuple[str, ...]]
    gap_seconds: ClassVar[tuple[float, float]] = (0.3, 1.0)
    hold_seconds: ClassVar[tuple[float, float]] = (0.0, 0.0)
    fewest_shots: ClassVar[int] = 1
    most_shots: ClassVar[int] = 50
    sells_on: ClassVar[bool] = False
    slowest_order_seconds: ClassVar[float | None] = None
    healthy_seconds: ClassVar[float] = HEALTHY_SECONDS
    patience_seconds: ClassVar[float] = 20.0
    reads_topics: ClassVar[bool] = False
    in_short: ClassVar[bool] = True
    control_in_short: ClassVar[bool] = False
    needs_apache_kafka: ClassVar[bool] = False

    def variant(self) -> Variant:
        """The shop as in production, or with settings that make the fault likely."""
        return Variant()

    @abstractmethod
    def control(self) -> Variant:
        """The same shop without the protection."""

    @abstractmethod
    def strike(self, run: Run) -> str:
        """Inject the fault once; returns the evidence that it happened. Raises NotFired."""

    def heal(self, run: Run) -> None:  # noqa: B027 - many faults end by themselves
        """End the fault, if it does not end by itself."""

    def is_well(self, run: Run) -> bool:
        """Whether the shop works again; by default, whether an order succeeds."""
        return run.probe().status == 200

    def judge(self, run: Run) -> list[str]:
        """Additional violations of this fault; called when all events are processed."""
        return []


def seconds_until_well(fault: Fault, run: Run) -> float | None:
    """Poll until the shop works; None if it does not after forty seconds."""
    began = time.monotonic()
    while not fault.is_well(run):
        if time.monotonic() - began > _WAIT_FOR_HEALTH_SECONDS:
            return None
        run.pause(_PROBE_PAUSE_SECONDS)
    return time.monotonic() - began
