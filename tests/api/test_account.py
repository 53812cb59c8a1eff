"""`GET /api/users/me`."""

from collections.abc import Callable

import pytest

from balances.models import User
from tests.factories import StaffFactory, UserFactory
from tests.shop_state import statements
from tests.shopper import Shopper

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(("factory", "is_staff"), [(UserFactory, False), (StaffFactory, True)])
def test_it_returns_the_tokens_account(factory: Callable[[], User], is_staff: bool) -> None:
    user = factory()
    answer = Shopper(user).get("/api/users/me")
    assert answer.status == 200
    assert answer.json == {"userId": user.pk, "username": user.username, "isStaff": is_staff}
    assert answer.headers["Cache-Control"] == "no-store"


def test_it_is_read_with_one_query() -> None:
    shopper = Shopper(UserFactory())
    with statements() as ran:
        assert shopper.get("/api/users/me").status == 200
    assert len(ran) == 1


def test_a_closed_account_is_refused() -> None:
    shopper = Shopper(UserFactory())
    User.objects.update(is_active=False)
    assert shopper.get("/api/users/me").outcome == (404, "user_not_found")


def test_without_a_token_it_is_401() -> None:
    assert Shopper().get("/api/users/me").outcome == (401, "not_authenticated")
