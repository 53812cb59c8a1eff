"""Concurrent holds of stock for carts. Each race has a control without the protections."""

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

import pytest

from balances.models import User
from commerce.core import sql
from commerce.idempotency.commit import Idempotency
from orders.models import Order
from orders.services import pay_reservation, place_order
from products.models import Product
from reservations.models import ONE_LIVE_PER_USER, Reservation
from reservations.services import expire_reservations, release, reserve
from tests.books import broken_rules
from tests.concurrency import naive
from tests.concurrency.attempts import DONE, Attempt, attempt
from tests.factories import ProductFactory, UserFactory
from tests.layers import LOCKS_OFF, QUEUE_OFF, REDIS_LOCKS_OFF, Protection, constraint_dropped, switched_off
from tests.shopper import Shopper
from tests.together import Meeting, together

pytestmark = pytest.mark.django_db(transaction=True)

CROWD = 30
WITHIN_STOCK = "product_held_within_stock"
LAYERS = pytest.mark.parametrize(
    "off", [LOCKS_OFF, QUEUE_OFF, REDIS_LOCKS_OFF, ()], ids=["no locks", "no queue", "no redis locks", "all"]
)


@pytest.fixture
def pen() -> Product:
    return ProductFactory(price=1_200, stock=1)


@pytest.fixture
def user() -> User:
    return UserFactory(balance=50_000)


def buys(user: User, pen: Product) -> Attempt:
    return attempt(
        lambda: place_order(
            user_id=user.pk, quantities={pen.pk: 1}, user_coupon_id=None, idempotency=Idempotency.none()
        )
    )


def holds(user: User, pen: Product, units: int = 1) -> Attempt:
    return attempt(lambda: reserve(user_id=user.pk, quantities={pen.pk: units}, idempotency=Idempotency.none()))


def pays(user: User, reservation_id: int) -> Attempt:
    return attempt(
        lambda: pay_reservation(
            user_id=user.pk, reservation_id=reservation_id, user_coupon_id=None, idempotency=Idempotency.none()
        )
    )


def held_by(user: User, pen: Product, units: int = 1) -> int:
    return int(reserve(user_id=user.pk, quantities={pen.pk: units}, idempotency=Idempotency.none()).pk)


def let_time_pass(reservation_id: int) -> None:
    sql.execute(
        "UPDATE reservation SET created_at = created_at - interval '10 minutes', expires_at = now() WHERE id = %s",
        [reservation_id],
    )


def units(pen: Product) -> tuple[int, int]:
    """In stock, and held."""
    pen.refresh_from_db()
    return pen.stock, pen.held


class TestLastUnit:
    """Half a crowd wants to hold the last unit, the other half to buy it."""

    def test_concurrent_requests_through_the_api(self, pen: Product) -> None:
        body = {"items": [{"productId": pen.pk, "quantity": 1}]}
        paths = ["/api/orders", "/api/reservations"]
        crowd = UserFactory.create_batch(CROWD, balance=5_000)
        answers = together([partial(Shopper(user).post, paths[number % 2], body) for number, user in enumerate(crowd)])
        outcomes = [answer.outcome for answer in answers]
        assert outcomes.count((200, None)) == 1
        assert outcomes.count((400, "out_of_stock")) == CROWD - 1
        assert units(pen) in ((0, 0), (1, 1))
        assert broken_rules() == set()

    @LAYERS
    def test_the_row_lock_alone_is_enough(self, pen: Product, off: Protection) -> None:
        crowd = UserFactory.create_batch(10, balance=5_000)
        with switched_off(off), constraint_dropped("product", WITHIN_STOCK):
            outcomes = together([(buys, holds)[number % 2](user, pen) for number, user in enumerate(crowd)])
            assert units(pen) in ((0, 0), (1, 1))
            assert broken_rules() == set()
        assert sorted(outcomes) == [DONE] + ["out_of_stock"] * 9

    def test_the_constraint_alone_is_enough(self, pen: Product) -> None:
        """Both find the unit; the second write is refused by the database."""
        meeting = Meeting()
        first, second = UserFactory.create_batch(2, balance=5_000)
        with switched_off(LOCKS_OFF), naive.unlocked_rows(meeting.attend):
            outcomes = together([buys(first, pen), holds(second, pen)])
        assert meeting.took_place
        assert sorted(outcomes) == [DONE, WITHIN_STOCK]
        assert units(pen) in ((0, 0), (1, 1))
        assert broken_rules() == set()

    def test_control_without_any_protection_it_is_held_and_sold(self, pen: Product) -> None:
        first, second = UserFactory.create_batch(2, balance=5_000)
        with ExitStack() as without:
            without.enter_context(switched_off(LOCKS_OFF))
            without.enter_context(constraint_dropped("product", WITHIN_STOCK))
            without.enter_context(naive.unlocked_rows(Meeting().attend))
            assert together([buys(first, pen), holds(second, pen)]) == [DONE, DONE]
            assert units(pen) == (0, 1)
            assert "held_units_are_in_stock" in broken_rules()


class TestOneOfACustomer:
    """Two reservations of one customer at once: one replaces the other, and one is live."""

    @LAYERS
    def test_two_at_once(self, user: User, pen: Product, off: Protection) -> None:
        chair = ProductFactory(stock=3)
        with switched_off(off):
            outcomes = together([holds(user, pen), *[holds(user, chair, 2)] * 3])
        assert outcomes == [DONE] * 4
        assert Reservation.objects.filter(status="HELD").count() == 1
        assert Reservation.objects.filter(status="REPLACED").count() == 3
        assert (units(pen), units(chair)) in (((1, 1), (3, 0)), ((1, 0), (3, 2)))
        assert broken_rules() == set()

    def test_both_find_none_and_the_second_tries_again(self, user: User, pen: Product) -> None:
        chair, meeting = ProductFactory(stock=3), Meeting()
        with switched_off(LOCKS_OFF), naive.after_reading(meeting.attend):
            outcomes = together([holds(user, pen), holds(user, chair)])
        assert meeting.took_place
        assert outcomes == [DONE, DONE]
        assert sorted(Reservation.objects.values_list("status", flat=True)) == ["HELD", "REPLACED"]
        assert broken_rules() == set()

    def test_control_without_the_constraint_there_are_two(self, user: User, pen: Product) -> None:
        chair = ProductFactory(stock=3)
        with ExitStack() as without:
            without.enter_context(constraint_dropped("reservation", ONE_LIVE_PER_USER))
            without.enter_context(switched_off(LOCKS_OFF))
            without.enter_context(naive.after_reading(Meeting().attend))
            assert together([holds(user, pen), holds(user, chair)]) == [DONE, DONE]
            assert Reservation.objects.filter(status="HELD").count() == 2

    def test_one_key_thirty_times(self, user: User) -> None:
        pen = ProductFactory(stock=CROWD)
        body = {"items": [{"productId": pen.pk, "quantity": 1}]}
        answers = together([partial(Shopper(user).post, "/api/reservations", body, key="cart")] * CROWD)
        assert {(answer.status, answer.content) for answer in answers} == {(200, answers[0].content)}
        assert [answer.replayed for answer in answers].count(False) == 1
        assert (units(pen), Reservation.objects.count()) == ((CROWD, 1), 1)


class TestEnds:
    """A reservation ends exactly once, whichever use case ends it."""

    @LAYERS
    def test_paid_once(self, user: User, off: Protection) -> None:
        pen = ProductFactory(price=1_200, stock=10)
        number = held_by(user, pen, 2)
        with switched_off(off):
            outcomes = together([pays(user, number)] * 8)
        assert sorted(outcomes) == [DONE] + ["reservation_expired"] * 7
        assert (units(pen), Order.objects.count()) == ((8, 0), 1)
        assert broken_rules() == set()

    @pytest.mark.parametrize("rival", ["release", "replace", "expire"])
    @LAYERS
    def test_a_payment_and_another_end(self, user: User, off: Protection, rival: str) -> None:
        pen = ProductFactory(price=1_200, stock=10)
        number = held_by(user, pen, 2)
        if rival == "expire":
            let_time_pass(number)
        others: dict[str, Callable[[], object]] = {
            "release": lambda: release(reservation_id=number, user_id=user.pk, idempotency=Idempotency.none()),
            "replace": lambda: reserve(user_id=user.pk, quantities={pen.pk: 2}, idempotency=Idempotency.none()),
            "expire": expire_reservations,
        }
        with switched_off(off):
            paid, other = together([pays(user, number), attempt(others[rival])])
        status = Reservation.objects.values_list("status", flat=True).get(pk=number)
        was_paid = paid == DONE
        assert was_paid == (status == "PAID") == Order.objects.exists()
        assert paid in ((DONE, "reservation_expired") if rival != "expire" else ("reservation_expired",))
        assert other in ((DONE, "reservation_expired") if rival == "release" else (DONE,))
        assert units(pen) == (10 - 2 * was_paid, 2 if rival == "replace" else 0)
        assert broken_rules() == set()

    def test_the_trigger_alone_is_enough(self, user: User) -> None:
        """Both read it as held. The second one changes nothing, is repeated, and reads the result of the first."""
        pen = ProductFactory(price=1_200, stock=10)
        number = held_by(user, pen, 2)
        meeting = Meeting()
        with switched_off(LOCKS_OFF), naive.unlocked_rows(meeting.attend):
            outcomes = together(
                [
                    pays(user, number),
                    attempt(lambda: release(reservation_id=number, user_id=user.pk, idempotency=Idempotency.none())),
                ]
            )
        assert meeting.took_place
        assert sorted(outcomes) == [DONE, "reservation_ends_once"]
        assert broken_rules() == set()

    def test_control_without_it_units_are_released_twice(self, user: User) -> None:
        pen = ProductFactory(price=1_200, stock=10)
        number = held_by(user, pen, 2)
        held_by(UserFactory(), pen, 5)
        with ExitStack() as without:
            without.enter_context(switched_off(LOCKS_OFF))
            without.enter_context(naive.unlocked_rows(Meeting().attend))
            sql.execute("ALTER TABLE reservation DISABLE TRIGGER reservation_ends_once")
            without.callback(sql.execute, "ALTER TABLE reservation ENABLE TRIGGER reservation_ends_once")
            outcomes = together(
                [
                    pays(user, number),
                    attempt(lambda: release(reservation_id=number, user_id=user.pk, idempotency=Idempotency.none())),
                ]
            )
            assert outcomes == [DONE, DONE]
            assert units(pen) == (8, 3)
            assert "held_is_its_reservations" in broken_rules()


class TestNextTaker:
    """Many orders need the units of expired reservations: each unit is sold once, and none remains held."""

    @LAYERS
    def test_concurrent_requests_end_them_once(self, off: Protection) -> None:
        pen, chair = ProductFactory(price=1_200, stock=6), ProductFactory(stock=9)
        for each in UserFactory.create_batch(3):
            let_time_pass(
                int(reserve(user_id=each.pk, quantities={pen.pk: 2, chair.pk: 3}, idempotency=Idempotency.none()).pk)
            )
        crowd = UserFactory.create_batch(12, balance=5_000)
        with switched_off(off):
            outcomes = together([(buys, holds)[number % 2](user, pen) for number, user in enumerate(crowd)])
        assert sorted(outcomes) == [DONE] * 6 + ["out_of_stock"] * 6
        pen.refresh_from_db()
        assert pen.stock == pen.held
        assert units(chair) == (9, 0)
        assert set(
            Reservation.objects.filter(pk__in=Reservation.objects.order_by("pk").values("pk")[:3]).values_list(
                "status", flat=True
            )
        ) == {"EXPIRED"}
        assert broken_rules() == set()

    def test_an_order_and_the_command(self, pen: Product, user: User) -> None:
        let_time_pass(held_by(UserFactory(), pen))
        outcomes = together([buys(user, pen), attempt(expire_reservations), attempt(expire_reservations)])
        assert outcomes == [DONE] * 3
        assert units(pen) == (0, 0)
        assert broken_rules() == set()

    def test_control_without_the_second_query_a_free_unit_is_refused(
        self, pen: Product, user: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        let_time_pass(held_by(UserFactory(), pen))
        monkeypatch.setattr("reservations.operations.require_nothing_expired", lambda *_: None)
        assert buys(user, pen)() == "out_of_stock"
