"""More customers than coupons: exactly the available units are issued, one to each. Without protection, too many."""

from contextlib import ExitStack
from functools import partial

import pytest

from balances.models import User
from commerce.idempotency.commit import Idempotency
from coupons.models import Coupon, UserCoupon
from coupons.services import issue_coupon
from tests.books import broken_rules
from tests.concurrency import naive
from tests.concurrency.attempts import DONE, Attempt, attempt
from tests.factories import CouponFactory, UserFactory
from tests.layers import (
    LOCKS_OFF,
    QUEUE_ALONE,
    QUEUE_OFF,
    REDIS_LOCKS_OFF,
    RELATIVE_WRITES_OFF,
    Protection,
    constraint_dropped,
    switched_off,
)
from tests.shopper import Shopper
from tests.together import MEETING_SECONDS, Meeting, together

pytestmark = pytest.mark.django_db(transaction=True)

BUYERS = 200
UNITS = 50
THREADS = 32
WITHIN_TOTAL = "coupon_issued_within_total"
ONE_PER_USER = "user_coupon_one_per_user"


def wants(user: User, coupon: Coupon) -> Attempt:
    return attempt(lambda: issue_coupon(user_id=user.pk, coupon_id=coupon.pk, idempotency=Idempotency.none()))


def issued(coupon: Coupon) -> tuple[int, int]:
    """The coupon's count, and the units that customers hold."""
    coupon.refresh_from_db()
    return coupon.issued_count, UserCoupon.objects.filter(coupon=coupon).count()


def test_200_buyers_get_50_coupons() -> None:
    coupon = CouponFactory(total_quantity=UNITS)
    users = UserFactory.create_batch(BUYERS)
    path = f"/api/coupons/{coupon.pk}/issue"
    answers = together([partial(Shopper(user).post, path) for user in users], at_once=THREADS)
    outcomes = [answer.outcome for answer in answers]
    assert outcomes.count((200, None)) == UNITS
    assert outcomes.count((400, "coupon_sold_out")) == BUYERS - UNITS
    assert issued(coupon) == (UNITS, UNITS)
    winners = {user.pk for user, answer in zip(users, answers, strict=True) if answer.status == 200}
    assert set(UserCoupon.objects.values_list("user_id", flat=True)) == winners
    assert broken_rules() == set()


@pytest.mark.parametrize("off", [LOCKS_OFF, QUEUE_OFF, REDIS_LOCKS_OFF], ids=["no locks", "no queue", "no redis locks"])
def test_the_row_lock_alone_is_enough(off: Protection) -> None:
    coupon = CouponFactory(total_quantity=10)
    with switched_off((*off, *RELATIVE_WRITES_OFF)), constraint_dropped("coupon", WITHIN_TOTAL):
        outcomes = together([wants(user, coupon) for user in UserFactory.create_batch(40)], at_once=20)
        assert issued(coupon) == (10, 10)
        assert broken_rules() == set()
    assert sorted(outcomes) == ["coupon_sold_out"] * 30 + [DONE] * 10


def test_the_constraint_alone_is_enough() -> None:
    coupon = CouponFactory(total_quantity=1)
    meeting = Meeting()
    with switched_off(LOCKS_OFF), naive.unlocked_rows(meeting.attend):
        outcomes = together([wants(user, coupon) for user in UserFactory.create_batch(2)])
    assert meeting.took_place
    assert sorted(outcomes) == [WITHIN_TOTAL, DONE]
    assert issued(coupon) == (1, 1)
    assert broken_rules() == set()


@pytest.mark.parametrize("off", [QUEUE_OFF, QUEUE_ALONE], ids=["redis lock alone", "queue alone"])
def test_a_lock_alone_is_enough(off: Protection) -> None:
    coupon = CouponFactory(total_quantity=1)
    meeting = Meeting(MEETING_SECONDS)
    with ExitStack() as without:
        without.enter_context(switched_off(off))
        without.enter_context(naive.unlocked_rows(meeting.attend, absolute=True))
        without.enter_context(constraint_dropped("coupon", WITHIN_TOTAL))
        outcomes = together([wants(user, coupon) for user in UserFactory.create_batch(2)])
        assert issued(coupon) == (1, 1)
        assert broken_rules() == set()
    assert not meeting.took_place
    assert sorted(outcomes) == ["coupon_sold_out", DONE]


def test_control_without_any_protection_one_is_issued_twice() -> None:
    """The control of all tests above."""
    coupon = CouponFactory(total_quantity=1)
    meeting = Meeting()
    with ExitStack() as without:
        without.enter_context(switched_off(LOCKS_OFF))
        without.enter_context(naive.unlocked_rows(meeting.attend))
        without.enter_context(constraint_dropped("coupon", WITHIN_TOTAL))
        outcomes = together([wants(user, coupon) for user in UserFactory.create_batch(2)])
        assert outcomes == [DONE, DONE]
        assert issued(coupon) == (2, 2)
        assert broken_rules() != set()


class TestOnePerCustomer:
    """The same customer, many times simultaneously."""

    def test_gets_one(self) -> None:
        coupon, user = CouponFactory(total_quantity=UNITS), UserFactory()
        path = f"/api/coupons/{coupon.pk}/issue"
        answers = together([lambda: Shopper(user).post(path) for _ in range(20)])
        outcomes = [answer.outcome for answer in answers]
        assert outcomes.count((200, None)) == 1
        assert outcomes.count((400, "coupon_already_issued")) == 19
        assert issued(coupon) == (1, 1)

    def test_gets_one_from_the_row_lock_alone(self) -> None:
        """The coupon's lock: the user coupon is read after it is acquired."""
        coupon, user = CouponFactory(total_quantity=UNITS), UserFactory()
        with switched_off(LOCKS_OFF), constraint_dropped("user_coupon", ONE_PER_USER):
            outcomes = together([wants(user, coupon)] * 20)
            assert issued(coupon) == (1, 1)
        assert sorted(outcomes) == ["coupon_already_issued"] * 19 + [DONE]

    def test_gets_one_from_the_constraint_alone(self) -> None:
        coupon, user = CouponFactory(total_quantity=UNITS), UserFactory()
        with switched_off(LOCKS_OFF), naive.unlocked_rows(Meeting().attend):
            outcomes = together([wants(user, coupon)] * 2)
        assert sorted(outcomes) == [DONE, ONE_PER_USER]
        assert issued(coupon) == (1, 1)

    def test_control_gets_two_without_any_protection(self) -> None:
        coupon, user = CouponFactory(total_quantity=UNITS), UserFactory()
        with ExitStack() as without:
            without.enter_context(switched_off(LOCKS_OFF))
            without.enter_context(naive.unlocked_rows(Meeting().attend))
            without.enter_context(constraint_dropped("user_coupon", ONE_PER_USER))
            outcomes = together([wants(user, coupon)] * 2)
            assert outcomes == [DONE, DONE]
            assert issued(coupon) == (2, 2)
            assert broken_rules() != set()
