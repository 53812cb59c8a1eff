"""`GET /api/users/balance/history`."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from balances.models import LedgerEntry, User
from tests.factories import ProductFactory, StaffFactory, UserFactory, charged, order_of
from tests.shop_state import statements
from tests.shopper import Shopper

pytestmark = pytest.mark.django_db(transaction=True)

HISTORY = "/api/users/balance/history"
SEOUL = ZoneInfo("Asia/Seoul")


def charges_at(user: User, *moments: datetime) -> list[LedgerEntry]:
    """One charge of 1 won at each time."""
    return [charged(user, at=moment) for moment in moments]


def test_every_movement_is_listed_newest_first_with_one_query() -> None:
    user = UserFactory(balance=10_000)
    product = ProductFactory(price=3_000)
    shopper = Shopper(user)
    order = order_of(user, {product: 2})
    shopper.post(f"/api/orders/{order.pk}/cancel")
    with statements() as ran:
        answer = shopper.get(HISTORY)
    assert answer.status == 200
    assert answer.json["next"] is None
    assert answer.json["previous"] is None
    shown = [
        (entry["type"], entry["amount"], entry["balanceAfter"], entry["orderId"]) for entry in answer.json["results"]
    ]
    assert shown == [
        ("REFUND", 6_000, 10_000, order.pk),
        ("PAYMENT", -6_000, 4_000, order.pk),
        ("CHARGE", 10_000, 10_000, None),
    ]
    assert len(ran) == 1


def test_an_entry_has_exactly_the_documented_fields() -> None:
    user = UserFactory()
    [entry] = charges_at(user, datetime(2026, 3, 1, 12, 30, 15, 250_000, tzinfo=SEOUL))
    assert Shopper(user).get(HISTORY).json["results"] == [
        {
            "id": entry.pk,
            "type": "CHARGE",
            "amount": 1,
            "balanceAfter": 1,
            "orderId": None,
            "createdAt": "2026-03-01T12:30:15.250000+09:00",
        }
    ]


def test_only_own_entries_are_listed() -> None:
    user = UserFactory()
    UserFactory(balance=5)
    assert Shopper(user).get(HISTORY).json == {"next": None, "previous": None, "results": []}


def test_the_list_is_filtered_by_type() -> None:
    user = UserFactory(balance=10_000)
    order_of(user, {ProductFactory(): 1})
    shopper = Shopper(user)
    for entry_type in ("CHARGE", "PAYMENT"):
        assert [entry["type"] for entry in shopper.get(HISTORY, type=entry_type).json["results"]] == [entry_type]
    for entry_type in ("REFUND", "ADJUSTMENT"):
        assert shopper.get(HISTORY, type=entry_type).json["results"] == []


def test_days_are_the_shops_days_and_both_are_included() -> None:
    user = UserFactory()
    midnight = datetime(2026, 3, 2, tzinfo=SEOUL)
    before, first, last, after = charges_at(
        user,
        midnight - timedelta(microseconds=1),
        midnight,
        midnight + timedelta(days=2) - timedelta(microseconds=1),
        midnight + timedelta(days=2),
    )
    shopper = Shopper(user)

    def listed(**days: str) -> list[int]:
        return [entry["id"] for entry in shopper.get(HISTORY, days).json["results"]]

    assert listed(from_="2026-03-02", to="2026-03-03") == [last.pk, first.pk]
    assert listed(from_="2026-03-03") == [after.pk, last.pk]
    assert listed(to="2026-03-01") == [before.pk]
    assert listed(from_="2026-03-05") == []


def test_staff_read_any_history() -> None:
    user = UserFactory(balance=5)
    answer = Shopper(StaffFactory()).get(HISTORY, userId=user.pk)
    assert [entry["amount"] for entry in answer.json["results"]] == [5]


def test_another_users_history_is_forbidden() -> None:
    other = UserFactory(balance=5)
    assert Shopper(UserFactory()).get(HISTORY, userId=other.pk).outcome == (403, "permission_denied")


@pytest.mark.parametrize(
    ("query", "field", "code"),
    [
        ({"type": "GIFT"}, "type", "invalid_choice"),
        ({"type": ""}, "type", "invalid_choice"),
        ({"from_": "yesterday"}, "from", "invalid"),
        ({"from_": "2026-02-30"}, "from", "invalid"),
        ({"to": "2026-3"}, "to", "invalid"),
        ({"from_": "2026-03-02", "to": "2026-03-01"}, "to", "invalid"),
        ({"userId": "0"}, "userId", "min_value"),
        ({"userId": "abc"}, "userId", "invalid"),
        ({"userId": str(2**63)}, "userId", "max_value"),
    ],
)
def test_an_invalid_parameter_is_refused(query: dict[str, str], field: str, code: str) -> None:
    answer = Shopper(UserFactory()).get(HISTORY, query)
    assert answer.outcome == (400, "validation_error")
    assert [(error["field"], error["code"]) for error in answer.json["errors"]] == [(field, code)]


@pytest.mark.parametrize("day", ["1970-01-01", "2199-12-31"])
def test_the_first_and_last_supported_days_are_accepted(day: str) -> None:
    user = UserFactory(balance=5)
    assert Shopper(user).get(HISTORY, from_=day).status == 200
    assert Shopper(user).get(HISTORY, to=day).status == 200
