"""`expire_reservations`, and the deletion of old reservations by `archive`."""

import json
import signal
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from commerce.core import sql
from commerce.idempotency.commit import Idempotency
from products.models import Product
from reservations.models import Reservation, ReservationItem
from reservations.services import expire_reservations, release, reserve
from tests.books import broken_rules
from tests.factories import ProductFactory, UserFactory
from tests.outbox.manage import call, managed
from tests.together import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


def held(product: Product, *, over: bool = True) -> Reservation:
    reservation = reserve(user_id=UserFactory().pk, quantities={product.pk: 1}, idempotency=Idempotency.none())
    if over:
        sql.execute(
            "UPDATE reservation SET created_at = created_at - interval '1 hour', expires_at = now() WHERE id = %s",
            [reservation.pk],
        )
    return reservation


def held_units(product: Product) -> int:
    product.refresh_from_db()
    return product.held


def test_expired_ones_end_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reservations.services.ENDED_AT_ONCE", 2)
    pen = ProductFactory(stock=10)
    live, *_over = held(pen, over=False), *(held(pen) for _ in range(5))
    batches: list[int] = []
    assert expire_reservations(on_batch=batches.append) == 5
    assert (batches, held_units(pen)) == ([2, 2, 1], 1)
    assert Reservation.objects.get(status="HELD").pk == live.pk
    assert expire_reservations() == 0
    assert broken_rules() == set()


def test_the_command_reports_and_may_be_repeated() -> None:
    held(ProductFactory())
    assert json.loads(call("expire_reservations", "--json").stdout) == {"ended": 1}
    assert call("expire_reservations").stdout == "0 reservations ended\n"


def test_at_an_interval_until_sigterm() -> None:
    pen = ProductFactory()
    with managed("expire_reservations", "--every", "0.001") as ending:
        held(pen)
        wait_until(lambda: held_units(pen) == 0, "a turn")
        assert ending.stop(signal.SIGTERM) == 0
    with pytest.raises(CommandError, match="above 0 and at most 60"):
        call_command("expire_reservations", "--every=61")


def test_archive_deletes_those_that_ended_long_ago() -> None:
    pen = ProductFactory()
    kept, old, _held = held(pen, over=False), held(pen, over=False), held(pen)
    for each in (kept, old):
        release(reservation_id=each.pk, user_id=each.user_id, idempotency=Idempotency.none())
    sql.execute("ALTER TABLE reservation DISABLE TRIGGER reservation_ends_once")
    long_ago = timezone.now() - timedelta(hours=721)
    Reservation.objects.filter(pk=old.pk).update(ended_at=long_ago)
    sql.execute("ALTER TABLE reservation ENABLE TRIGGER reservation_ends_once")
    assert json.loads(call("archive", "--json").stdout)["reservation"] == 1
    assert set(Reservation.objects.values_list("pk", flat=True)) == {kept.pk, _held.pk}
    assert ReservationItem.objects.count() == 2
    assert broken_rules() == set()
