"""`GET /api/balance/{userId}` and `POST /api/balance/charge`."""

from datetime import datetime
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.utils import timezone
from pytest_django import Settings

from balances.models import LedgerEntry, User
from balances.rules import Entry
from balances.selectors import remember_balances
from commerce.audit.models import StaffAction
from commerce.outbox.models import OutboxMessage
from tests.factories import StaffFactory, UserFactory
from tests.groups import round_trips
from tests.shop_state import nothing_changes, statements
from tests.shopper import Shopper

pytestmark = pytest.mark.django_db(transaction=True)

LIMIT_WON = 1_000_000_000


def test_the_balance_is_read_with_one_query(user: User) -> None:
    shopper = Shopper(user)
    with statements() as ran:
        answer = shopper.get(f"/api/balance/{user.pk}")
    assert answer.status == 200
    assert answer.json == {"userId": user.pk, "balance": 50_000}
    assert len(ran) == 1


def test_another_users_balance_is_forbidden(user: User) -> None:
    other = UserFactory(balance=70_000)
    answer = Shopper(user).get(f"/api/balance/{other.pk}")
    assert answer.outcome == (403, "permission_denied")
    assert b"70000" not in answer.content


def test_staff_see_any_balance(user: User) -> None:
    assert Shopper(StaffFactory()).get(f"/api/balance/{user.pk}").json == {"userId": user.pk, "balance": 50_000}


def test_the_balance_of_an_unknown_user_is_not_found() -> None:
    answer = Shopper(StaffFactory()).get("/api/balance/999999999")
    assert answer.outcome == (404, "user_not_found")
    assert answer.json["detail"] == "There is no user 999999999."


def test_a_closed_account_has_no_balance(user: User) -> None:
    shopper = Shopper(user)
    User.objects.update(is_active=False)
    assert shopper.get(f"/api/balance/{user.pk}").outcome == (404, "user_not_found")


def test_a_balance_without_a_token_is_401(user: User, stranger: Shopper) -> None:
    with statements() as ran:
        answer = stranger.get(f"/api/balance/{user.pk}")
    assert answer.outcome == (401, "not_authenticated")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert ran == []


def test_a_charge_returns_its_ledger_entry(user: User) -> None:
    before = timezone.now()
    with round_trips() as trips:
        answer = Shopper(user).post("/api/balance/charge", {"userId": user.pk, "amount": 10_000})
    entry = LedgerEntry.objects.get(type="CHARGE", amount=10_000)
    assert answer.status == 200
    assert answer.json == {
        "userId": user.pk,
        "balance": 60_000,
        "transaction": {
            "id": entry.pk,
            "type": "CHARGE",
            "amount": 10_000,
            "balanceAfter": 60_000,
            "orderId": None,
            "createdAt": timezone.localtime(entry.created_at).isoformat(),
        },
    }
    assert before <= datetime.fromisoformat(answer.json["transaction"]["createdAt"]) <= timezone.now()
    assert answer.json["transaction"]["createdAt"].endswith("+09:00")
    user.refresh_from_db()
    assert user.balance == 60_000
    assert [len(sent) for sent in trips.postgresql] == [3, 2]
    assert (trips.locks, trips.cache) == (2, 1)


def test_a_charge_without_a_user_charges_the_caller(user: User) -> None:
    answer = Shopper(user).post("/api/balance/charge", {"amount": 1})
    assert (answer.json["userId"], answer.json["balance"]) == (user.pk, 50_001)


@pytest.mark.parametrize("amount", [1, 10_000_000])
def test_the_smallest_and_largest_charges_are_accepted(user: User, amount: int) -> None:
    assert Shopper(user).post("/api/balance/charge", {"amount": amount}).json["balance"] == 50_000 + amount


@pytest.mark.parametrize(
    ("amount", "code"),
    [(0, "min_value"), (-1, "min_value"), (10_000_001, "max_value"), (10**30, "max_value"), ("5", "invalid"),
     (5.0, "invalid"), (5.5, "invalid"), (True, "invalid"), (None, "null"), ([], "invalid"), ({}, "invalid")],
)  # fmt: skip
def test_an_invalid_amount_is_refused(user: User, amount: object, code: str) -> None:
    with nothing_changes(), statements() as ran:
        answer = Shopper(user).post("/api/balance/charge", {"amount": amount})
    assert answer.outcome == (400, "validation_error")
    assert [(error["field"], error["code"]) for error in answer.json["errors"]] == [("amount", code)]
    assert ran == []


def test_a_charge_needs_an_amount(user: User) -> None:
    with nothing_changes():
        answer = Shopper(user).post("/api/balance/charge", {})
    assert answer.outcome == (400, "validation_error")
    assert answer.json["errors"] == [{"field": "amount", "code": "required", "message": "This field is required."}]


def test_a_charge_above_the_balance_limit_is_refused(user: User, settings: Settings) -> None:
    settings.BALANCE_LIMIT_WON = 60_000
    shopper = Shopper(user)
    with nothing_changes():
        answer = shopper.post("/api/balance/charge", {"amount": 10_001})
    assert answer.outcome == (400, "balance_limit_exceeded")
    assert (answer.json["balance"], answer.json["limit"]) == (50_000, 60_000)
    assert answer.json["detail"] == "The balance is 50,000 won and may not pass 60,000 won."
    assert shopper.post("/api/balance/charge", {"amount": 10_000}).json["balance"] == 60_000


def test_the_default_balance_limit_is_a_billion_won() -> None:
    user = UserFactory(balance=LIMIT_WON)
    answer = Shopper(user).post("/api/balance/charge", {"amount": 1})
    assert answer.outcome == (400, "balance_limit_exceeded")
    assert answer.json["limit"] == LIMIT_WON


def test_charging_another_users_account_is_forbidden(user: User) -> None:
    other = UserFactory()
    with nothing_changes(), statements() as ran:
        answer = Shopper(user).post("/api/balance/charge", {"userId": other.pk, "amount": 1})
    assert answer.outcome == (403, "permission_denied")
    assert ran == []


def test_staff_charge_any_account(user: User) -> None:
    clerk, body = StaffFactory(), {"userId": user.pk, "amount": 500, "reason": "Parcel  was late. "}
    answer = Shopper(clerk).post("/api/balance/charge", body, key="k")
    assert (answer.json["userId"], answer.json["balance"]) == (user.pk, 50_500)
    assert answer.json["transaction"]["type"] == "ADJUSTMENT"
    assert Shopper(clerk).post("/api/balance/charge", body, key="k").replayed
    entry = StaffAction.objects.get()
    assert (entry.actor, entry.action, entry.reason) == (clerk, "Balance credited", "Parcel  was late.")
    assert entry.subject_id == str(user.pk)


@pytest.mark.parametrize("rights", [[], ["view_user"], ["cancel_order"]], ids=str)
def test_staff_without_the_permission_cannot_charge_others(user: User, rights: list[str]) -> None:
    clerk = StaffFactory(is_superuser=False)
    clerk.user_permissions.set(Permission.objects.filter(codename__in=rights))
    with nothing_changes():
        answer = Shopper(clerk).post("/api/balance/charge", {"userId": user.pk, "amount": 1, "reason": "Asked."})
    assert answer.outcome == (403, "permission_denied")
    assert Shopper(clerk).get(f"/api/balance/{user.pk}").status == (200 if "view_user" in rights else 403)


def test_the_back_office_permission_allows_charging_others(user: User) -> None:
    clerk = StaffFactory(is_superuser=False)
    clerk.user_permissions.set(Permission.objects.filter(codename="adjust_balance"))
    body = {"userId": user.pk, "amount": 1, "reason": "Asked."}
    assert Shopper(clerk).post("/api/balance/charge", body).status == 200


@pytest.mark.parametrize(("reason", "code"), [({}, "required"), ({"reason": " "}, "blank"), ({"reason": None}, "null")])
def test_staff_need_a_reason_to_charge_others(user: User, reason: dict[str, Any], code: str) -> None:
    shopper = Shopper(StaffFactory())
    with nothing_changes():
        answer = shopper.post("/api/balance/charge", {"userId": user.pk, "amount": 1, **reason})
    assert [(error["field"], error["code"]) for error in answer.json["errors"]] == [("reason", code)]


def test_a_reason_for_an_own_charge_is_refused(user: User) -> None:
    with nothing_changes():
        answer = Shopper(user).post("/api/balance/charge", {"amount": 1, "reason": "Mine."})
    assert [(error["field"], error["code"]) for error in answer.json["errors"]] == [("reason", "unknown_field")]


def test_charging_an_unknown_user_is_refused() -> None:
    shopper = Shopper(StaffFactory())
    with nothing_changes():
        answer = shopper.post("/api/balance/charge", {"userId": 999_999_999, "amount": 1, "reason": "Asked."})
    assert answer.outcome == (404, "user_not_found")


def test_a_closed_account_is_not_charged(user: User) -> None:
    shopper = Shopper(user)
    User.objects.update(is_active=False)
    with nothing_changes():
        assert shopper.post("/api/balance/charge", {"amount": 1}).outcome == (404, "user_not_found")


def test_a_charge_without_a_token_is_401(user: User, stranger: Shopper) -> None:
    with nothing_changes():
        answer = stranger.post("/api/balance/charge", {"userId": user.pk, "amount": 1})
    assert answer.outcome == (401, "not_authenticated")


def test_a_charge_publishes_balance_changed(user: User) -> None:
    answer = Shopper(user).post("/api/balance/charge", {"amount": 10_000})
    message = OutboxMessage.objects.get()
    assert (message.type, message.destination, message.aggregate_id) == ("balance-changed", "kafka", str(user.pk))
    assert f'"transactionId":{answer.json["transaction"]["id"]}' in message.payload


def test_a_body_cannot_set_the_balance(user: User) -> None:
    body = {"amount": 1, "balance": 10**9, "isStaff": True, "type": "ADJUSTMENT", "balanceAfter": 5}
    with nothing_changes():
        answer = Shopper(user).post("/api/balance/charge", body)
    assert answer.outcome == (400, "validation_error")
    assert {error["code"] for error in answer.json["errors"]} == {"unknown_field"}


class TestReadingFromTheCache:
    """`BALANCE_READ=cache`."""

    @pytest.fixture(autouse=True)
    def read_from_cache(self, settings: Settings) -> None:
        settings.BALANCE_READ = "cache"

    def test_the_second_read_needs_no_query(self, user: User) -> None:
        shopper = Shopper(user)
        shopper.get(f"/api/balance/{user.pk}")
        with statements() as ran:
            answer = shopper.get(f"/api/balance/{user.pk}")
        assert answer.json == {"userId": user.pk, "balance": 50_000}
        assert ran == []

    def test_a_charge_shows_at_once(self, user: User) -> None:
        shopper = Shopper(user)
        shopper.get(f"/api/balance/{user.pk}")
        shopper.post("/api/balance/charge", {"amount": 7})
        assert shopper.get(f"/api/balance/{user.pk}").json["balance"] == 50_007

    def test_a_late_write_of_an_earlier_balance_is_dropped(self, user: User) -> None:
        shopper = Shopper(user)
        charge = shopper.post("/api/balance/charge", {"amount": 7}).json["transaction"]
        earlier = Entry(charge["id"] - 1, user.pk, "CHARGE", 1, 50_000, None, timezone.now(), b"")
        remember_balances([earlier])
        assert shopper.get(f"/api/balance/{user.pk}").json["balance"] == 50_007
