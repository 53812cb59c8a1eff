"""F17c: half of the clients reserve the last units, the other half order them, while workers are killed."""

import os
import signal
import threading
from contextlib import suppress

from products.models import Product
from reservations.models import Reservation, ReservationStatus
from tests.factories import ProductFactory
from tests.faults.burst import Ask, ask, burst, key_of, order
from tests.faults.f01_worker_killed import wait_for_workers
from tests.faults.fault import Fault, NotFired, Run
from tests.faults.shop import Variant

AT_ONCE = 30
UNITS = 10


class HoldsAndOrders(Fault):
    """No unit is both sold and held, or held twice; a retry with the same key finds a killed worker's outcome."""

    number = "F17c"
    title = "holds and orders for the last units, workers die"
    protection = "held units are counted in the product's row, locked until COMMIT"
    control_shows = ("invariant held_is_its_reservations broken", "were held or sold")
    gap_seconds = (0.2, 0.5)
    most_shots = 50

    def control(self) -> Variant:
        return Variant(patches=("tests.faults.naive_shop.no_locks", "tests.faults.naive_shop.stock_from_memory"))

    def strike(self, run: Run) -> str:
        wait_for_workers(run)
        product = ProductFactory(stock=UNITS)
        asks = [
            (_hold if number % 2 else _buy)(run, user, product.pk)
            for number, user in enumerate(run.random.sample(run.scene.users, AT_ONCE))
        ]
        victim = run.random.choice(run.shop.web.workers())
        killer = threading.Timer(run.random.uniform(0.0, 0.05), _kill, (victim,))
        killer.start()
        try:
            calls = burst(run, asks, more_than_room=True)
        finally:
            killer.join()
        wait_for_workers(run)
        # As by a client without a response.
        again = [ask(run, asked) for asked, call in zip(asks, calls, strict=True) if call.status is None]
        done = [call for call in (*calls, *again) if call.status == 200]
        if not done:
            raise NotFired(f"nobody had any of {UNITS} units: {calls[0]}")
        product = Product.objects.get(pk=product.pk)
        held = Reservation.objects.filter(status=ReservationStatus.HELD, items__product=product).count()
        sold = UNITS - product.stock
        if sold + held > UNITS or len(done) > UNITS:
            run.wrong.append(f"{sold + held} of {UNITS} units were held or sold, {len(done)} were told so")
        return f"worker {victim} killed; of {UNITS} units {sold} sold, {held} held"


def _hold(run: Run, user_id: int, product_id: int) -> Ask:
    body = {"items": [{"productId": product_id, "quantity": 1}]}
    return Ask(kind="hold", user_id=user_id, path="/api/reservations", key=key_of(run), body=body, judged=False)


def _buy(run: Run, user_id: int, product_id: int) -> Ask:
    return order(user_id, {product_id: 1}, key=key_of(run))


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
