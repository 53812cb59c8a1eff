"""Credit and debit by staff: an adjustment with a reason, once, within the wallet's bounds, and never their own."""

import json
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings as project_settings

from balances.models import EntryType, LedgerEntry, User
from balances.services import adjust_balance, charge_balance
from commerce.audit.models import StaffAction
from commerce.audit.record import Staff as Actor
from commerce.idempotency.commit import Idempotency
from commerce.invariants.check import invariants, violation_of
from commerce.outbox.models import OutboxMessage
from orders.services import place_order
from products.models import Product
from tests.back_office.staff import Page, Staff, errors_of, messages_on
from tests.books import broken_rules
from tests.concurrency import naive
from tests.concurrency.attempts import DONE, Attempt, attempt
from tests.factories import ProductFactory, StaffFactory, UserFactory
from tests.layers import LOCKS_OFF, constraint_dropped, switched_off
from tests.shop_state import nothing_changes
from tests.together import Meeting, together
from tests.web_forms import fields_of

pytestmark = pytest.mark.django_db(transaction=True)

FINANCE = ("balances.view_user", "balances.view_ledgerentry", "balances.adjust_balance")
PAGE = "balances_user_adjust"
LIMIT_WON = project_settings.BALANCE_LIMIT_WON


@pytest.fixture
def customer() -> User:
    return UserFactory(username="mina", balance=5_000)


@pytest.fixture
def clerk() -> Staff:
    return Staff(*FINANCE)


def form(direction: str, amount_won: object, *, confirmed: bool = True, **changes: object) -> dict[str, Any]:
    """The form values of the confirmation, or of the first page."""
    sent = {"direction": direction, "amount_won": amount_won, "reason": "Parcel lost.", "form_key": str(uuid4())}
    return {**sent, "confirmed": "True" if confirmed else None, **changes}


def adjust(staff: Staff, customer: User, direction: str, amount_won: object, **changes: Any) -> Page:
    return staff.post(PAGE, customer.pk, **form(direction, amount_won, **changes))


class TestThePage:
    """Amount and reason are entered, confirmed, then applied."""

    def test_shows_the_balance_before_and_after_and_changes_nothing(self, clerk: Staff, customer: User) -> None:
        with nothing_changes():
            asked = adjust(clerk, customer, "debit", 1_200, confirmed=False)
        page = " ".join(asked.content.decode().split())
        assert '₩5,000 → <span class="font-semibold">₩3,800</span> (-₩1,200)' in page
        assert "Reason: Parcel lost." in page
        assert "Yes, debit" in page

    def test_does_what_was_confirmed(self, clerk: Staff, customer: User) -> None:
        asked = adjust(clerk, customer, "credit", 1_200, confirmed=False)
        answer = clerk.post(PAGE, customer.pk, **fields_of(asked.content.decode()))
        assert (answer.status_code, answer.headers["Location"]) == (302, f"/admin/balances/user/{customer.pk}/change/")
        assert messages_on(answer) == ["The balance is ₩6,200 now (+₩1,200)."]
        customer.refresh_from_db()
        assert customer.balance == 6_200
        page = clerk.get("balances_user_change", customer.pk).content.decode()
        assert f"Parcel lost. ({clerk.user.username})" in page

    @pytest.mark.parametrize(("direction", "amount", "after"), [("credit", 700, 5_700), ("debit", -5_000, 0)])
    def test_leaves_an_entry_an_event_and_a_record_that_point_to_each_other(
        self, clerk: Staff, customer: User, direction: str, amount: int, after: int
    ) -> None:
        adjust(clerk, customer, direction, abs(amount))
        entry = LedgerEntry.objects.get(type=EntryType.ADJUSTMENT)
        assert (entry.user_id, entry.amount, entry.balance_after, entry.order_id) == (customer.pk, amount, after, None)
        data = json.loads(OutboxMessage.objects.get(type="balance-changed").payload)["data"]
        assert (data["type"], data["amount"], data["balanceAfter"]) == ("ADJUSTMENT", amount, after)
        record = StaffAction.objects.get()
        assert (record.actor_id, record.action) == (clerk.user.pk, f"Balance {direction}ed")
        assert (record.subject_type, record.subject_id) == ("balances.user", str(customer.pk))
        assert (record.before, record.after, record.reason) == (
            {"balance": 5_000},
            {"balance": after, "ledger entry": entry.pk},
            "Parcel lost.",
        )
        assert broken_rules() == set()
        assert [violation_of(rule) for rule in invariants(quiet_system=False) if "money" in rule.name] == [None]

    def test_sent_twice_is_done_once(self, clerk: Staff, customer: User) -> None:
        sent = form("credit", 1_000)
        first, second = (clerk.post(PAGE, customer.pk, **sent) for _ in range(2))
        assert messages_on(first)[:1] == ["The balance is ₩6,000 now (+₩1,000)."]
        assert second.status_code == 302
        customer.refresh_from_db()
        assert (customer.balance, StaffAction.objects.count()) == (6_000, 1)

    def test_sent_twice_at_one_moment_is_done_once(self, clerk: Staff, customer: User) -> None:
        sent = form("debit", 1_000)
        answers = together([partial(clerk.post, PAGE, customer.pk, **sent)] * 4)
        assert [answer.status_code for answer in answers] == [302] * 4
        customer.refresh_from_db()
        assert (customer.balance, StaffAction.objects.count()) == (4_000, 1)

    def test_a_used_page_is_no_page_for_another_amount(self, clerk: Staff, customer: User) -> None:
        sent = form("credit", 1_000)
        clerk.post(PAGE, customer.pk, **sent)
        with nothing_changes():
            answer = clerk.post(PAGE, customer.pk, **{**sent, "amount_won": 2_000})
        assert list(errors_of(answer)) == ["__all__"]

    @pytest.mark.parametrize(
        ("values", "field"),
        [
            ({"amount_won": 0}, "amount_won"),
            ({"amount_won": -5}, "amount_won"),
            ({"amount_won": "1.5"}, "amount_won"),
            ({"amount_won": ""}, "amount_won"),
            ({"amount_won": LIMIT_WON + 1}, "amount_won"),
            ({"amount_won": 2**63}, "amount_won"),
            ({"direction": "gift"}, "direction"),
            ({"reason": ""}, "reason"),
            ({"reason": "  "}, "reason"),
            ({"reason": "x" * 201}, "reason"),
            ({"form_key": "none"}, "form_key"),
        ],
    )
    @pytest.mark.parametrize("confirmed", [False, True])
    def test_errors_are_shown_at_their_fields(
        self, clerk: Staff, customer: User, values: dict[str, Any], field: str, confirmed: bool
    ) -> None:
        with nothing_changes():
            answer = clerk.post(PAGE, customer.pk, **{**form("credit", 1, confirmed=confirmed), **values})
        assert list(errors_of(answer)) == [field]


class TestRefusals:
    """Refusals are shown in the form: before the confirmation if possible, otherwise after it."""

    @pytest.mark.parametrize("confirmed", [False, True])
    def test_more_than_there_is_cannot_be_debited(self, clerk: Staff, customer: User, confirmed: bool) -> None:
        with nothing_changes():
            answer = adjust(clerk, customer, "debit", 5_001, confirmed=confirmed)
        assert errors_of(answer) == {"amount_won": ["The balance is ₩5,000 and cannot become negative."]}

    @pytest.mark.parametrize("confirmed", [False, True])
    def test_no_wallet_is_filled_above_its_limit(self, clerk: Staff, customer: User, confirmed: bool) -> None:
        with nothing_changes():
            answer = adjust(clerk, customer, "credit", LIMIT_WON - 4_999, confirmed=confirmed)
        sentence = "The balance is ₩5,000 and cannot exceed ₩1,000,000,000."
        assert errors_of(answer) == {"amount_won": [sentence]}

    def test_a_wallet_is_filled_up_to_its_limit_and_emptied_to_nothing(self, clerk: Staff, customer: User) -> None:
        assert adjust(clerk, customer, "credit", LIMIT_WON - 5_000).status_code == 302
        assert adjust(clerk, customer, "debit", LIMIT_WON).status_code == 302
        customer.refresh_from_db()
        assert customer.balance == 0
        assert broken_rules() == set()

    def test_what_is_above_the_limit_by_a_refund_can_be_debited(self, clerk: Staff) -> None:
        rich = UserFactory(balance=LIMIT_WON + 10)
        assert adjust(clerk, rich, "debit", 5).status_code == 302
        rich.refresh_from_db()
        assert rich.balance == LIMIT_WON + 5

    @pytest.mark.parametrize("confirmed", [False, True])
    @pytest.mark.parametrize("direction", ["credit", "debit"])
    def test_a_closed_account_is_left_alone(
        self, clerk: Staff, customer: User, direction: str, confirmed: bool
    ) -> None:
        User.objects.filter(pk=customer.pk).update(is_active=False)
        with nothing_changes():
            answer = adjust(clerk, customer, direction, 1, confirmed=confirmed)
        assert errors_of(answer) == {"__all__": ["This account is closed. Its balance cannot be adjusted."]}

    def test_a_refused_form_must_be_confirmed_again(self, clerk: Staff, customer: User) -> None:
        refused = adjust(clerk, customer, "debit", 5_001)
        fields = fields_of(refused.content.decode())
        with nothing_changes():
            asked = clerk.post(PAGE, customer.pk, **{**fields, "amount_won": "5000"})
        assert "Yes, debit" in asked.content.decode()

    def test_staff_cannot_adjust_their_own_wallet(self, clerk: Staff) -> None:
        charge_balance(user_id=clerk.user.pk, amount=10, idempotency=Idempotency.none())
        with nothing_changes():
            assert "This is your own wallet" in clerk.get(PAGE, clerk.user.pk).content.decode()
            answer = adjust(clerk, clerk.user, "credit", 1)
        assert errors_of(answer) == {"__all__": ["This is your own wallet. A colleague has to adjust it."]}
        tools = clerk.get("balances_user_change", clerk.user.pk).context["tools"]
        assert "Adjust balance" not in [str(tool["title"]) for tool in tools]

    def test_nor_does_a_superuser(self) -> None:
        boss = Staff(superuser=True)
        with nothing_changes():
            assert adjust(boss, boss.user, "credit", 1).status_code == 200

    @pytest.mark.parametrize("rights", [FINANCE[:2], FINANCE[2:], (*FINANCE[:2], "balances.change_user")])
    def test_the_page_requires_permissions_to_adjust_and_view_accounts(
        self, customer: User, rights: tuple[str, ...]
    ) -> None:
        onlooker = Staff(*rights)
        with nothing_changes():
            assert onlooker.get(PAGE, customer.pk).status_code == 403
            assert adjust(onlooker, customer, "credit", 1).status_code == 403

    @pytest.mark.parametrize("made_up", [0, 999_999_999, 2**63, 10**30])
    def test_the_wallet_of_a_missing_account_is_not_found(self, clerk: Staff, made_up: int) -> None:
        assert clerk.get(PAGE, made_up).status_code == 404
        assert clerk.post(PAGE, made_up, **form("credit", 1)).status_code == 404

    def test_a_forged_request_without_the_token_of_the_page_is_refused(self, clerk: Staff, customer: User) -> None:
        clerk.client.handler.enforce_csrf_checks = True
        with nothing_changes():
            assert adjust(clerk, customer, "credit", 1).status_code == 403


class TestRaces:
    """Concurrent adjustments and payments are serialized by the row lock."""

    NOT_NEGATIVE = "user_balance_not_negative"

    @pytest.fixture
    def last_won(self) -> User:
        return UserFactory(balance=1_000)

    @pytest.fixture
    def pen(self) -> Product:
        return ProductFactory(price=1_000)

    def debits(self, user: User) -> Attempt:
        by = Actor(StaffFactory().pk, "Counted.")
        return attempt(lambda: adjust_balance(user_id=user.pk, amount=-1_000, by=by, idempotency=Idempotency.none()))

    def pays(self, user: User, pen: Product) -> Attempt:
        return attempt(
            lambda: place_order(
                user_id=user.pk, quantities={pen.pk: 1}, user_coupon_id=None, idempotency=Idempotency.none()
            )
        )

    def test_of_two_debits_of_the_last_won_one_is_done(self, last_won: User) -> None:
        clerks = [Staff(*FINANCE), Staff(*FINANCE)]
        answers = together([partial(adjust, clerk, last_won, "debit", 1_000) for clerk in clerks])
        assert sorted(answer.status_code for answer in answers) == [200, 302]
        last_won.refresh_from_db()
        assert (last_won.balance, StaffAction.objects.count()) == (0, 1)
        assert broken_rules() == set()

    def test_with_the_locks_off_as_well(self, last_won: User) -> None:
        with switched_off(LOCKS_OFF):
            outcomes = together([self.debits(last_won) for _ in range(4)])
        assert sorted(outcomes) == [DONE, *["insufficient_balance"] * 3]
        last_won.refresh_from_db()
        assert (last_won.balance, StaffAction.objects.count()) == (0, 1)
        assert broken_rules() == set()

    def test_looked_at_first_the_last_won_is_debited_twice(self, last_won: User) -> None:
        """The control, without lock and constraint."""
        meeting = Meeting()
        debits = [self.debits(last_won), self.debits(last_won)]
        with (
            switched_off(LOCKS_OFF),
            naive.unlocked_rows(meeting.attend),
            constraint_dropped("user", self.NOT_NEGATIVE),
        ):
            assert together(debits) == [DONE, DONE]
            last_won.refresh_from_db()
            assert last_won.balance == -1_000
            assert broken_rules() != set()

    def test_a_debit_and_an_order_do_not_both_get_the_last_won(self, last_won: User, pen: Product) -> None:
        outcomes = together([self.debits(last_won), self.pays(last_won, pen)])
        assert sorted(outcomes) == [DONE, "insufficient_balance"]
        last_won.refresh_from_db()
        assert last_won.balance == 0
        assert broken_rules() == set()

    def test_looked_at_first_both_get_it(self, last_won: User, pen: Product) -> None:
        """The control, without the row lock of the wallet and without the constraint."""
        meeting = Meeting()
        race = [self.debits(last_won), self.pays(last_won, pen)]
        with (
            switched_off(LOCKS_OFF),
            naive.unlocked_rows(meeting.attend),
            constraint_dropped("user", self.NOT_NEGATIVE),
        ):
            assert together(race) == [DONE, DONE]
            last_won.refresh_from_db()
            assert last_won.balance == -1_000
            assert broken_rules() != set()

    def test_credits_of_two_and_a_charge_all_count(self, last_won: User) -> None:
        by = Actor(StaffFactory().pk, "Sorry.")
        given = [
            partial(adjust_balance, user_id=last_won.pk, amount=each, by=by, idempotency=Idempotency.none())
            for each in (5, 70)
        ]
        together([*given, partial(charge_balance, user_id=last_won.pk, amount=900, idempotency=Idempotency.none())])
        last_won.refresh_from_db()
        assert last_won.balance == 1_975
        assert broken_rules() == set()


def test_an_adjustment_behind_the_shops_back_breaks_the_books(customer: User) -> None:
    """The control of the invariants: a ledger entry without a change of the balance is detected."""
    LedgerEntry.objects.create(
        user=customer,
        type=EntryType.ADJUSTMENT,
        amount=100,
        balance_after=5_100,
        created_at=customer.date_joined,
        entry_hash=bytes(32),
    )
    assert {"balance_is_ledger_sum", "money_neither_appears_nor_vanishes", "ledger_is_unaltered"} <= broken_rules()
