"""The section above a list: chips that remove a filter, periods, and saved views."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import date, timedelta
from functools import partial
from html import unescape
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.urls import reverse
from django.utils import timezone

from balances.models import User
from commerce.staff_pages import saved_views
from commerce.staff_pages.models import SavedView
from orders.models import Order
from tests.back_office.staff import Page, Staff, messages_on
from tests.factories import CouponFactory, ProductFactory, StaffFactory, UserCouponFactory, UserFactory, order_of
from tests.operations.busy_shop import busy_shop
from tests.shop_state import nothing_changes, statements
from tests.together import Meeting, together

pytestmark = pytest.mark.django_db(transaction=True)

LIST, LIST_OF = "orders_order_changelist", "orders.order"


@pytest.fixture
def clerk() -> Staff:
    return Staff("orders.view_order", "balances.view_user", "products.view_product", "coupons.view_coupon")


@pytest.fixture
def mina() -> User:
    return UserFactory(username="mina", balance=100_000)


def chips(page: Page) -> list[tuple[str, str]]:
    return [(chip.title, chip.value) for chip in page.context["chips"]]


class TestAChip:
    def test_shows_each_filter_with_the_label_of_its_choice(self, clerk: Staff, mina: User) -> None:
        pen, coupon = ProductFactory(name="Pen"), CouponFactory(name="Welcome")
        order_of(mina, {pen: 1}, coupon=UserCouponFactory(user=mina, coupon=coupon))
        page = clerk.get(
            LIST,
            q="mina",
            status__exact="COMPLETED",
            ordered_date_from="2026-01-01",
            ordered_date_to="2026-01-31",
            paid_amount_from="1000",
            user__id__exact=mina.pk,
            product=pen.pk,
            coupon="with",
            user_coupon__coupon__id__exact=coupon.pk,
        )
        assert chips(page) == [
            ("Search", "“mina”"),
            ("Status", "Completed"),
            ("Day", "2026-01-01 – 2026-01-31"),
            ("Paid (won)", "from 1,000"),
            ("Customer", "mina"),
            ("Product", "Pen"),
            ("Coupon used", "with a coupon"),
            ("Coupon", "Welcome"),
        ]

    @pytest.mark.parametrize(
        ("query", "words"),
        [
            ({"ordered_date_from": "2026-01-02", "ordered_date_to": "2026-01-02"}, "2026-01-02"),
            ({"ordered_date_to": "2026-01-02"}, "up to 2026-01-02"),
            ({"ordered_date_days": "yesterday"}, "yesterday"),
            ({"ordered_date_days": "7", "ordered_date_from": "2026-01-02"}, "from 2026-01-02"),
        ],
    )
    def test_shows_the_days(self, clerk: Staff, query: dict[str, str], words: str) -> None:
        assert chips(clerk.get(LIST, **query)) == [("Day", words)]

    def test_links_to_the_first_page_without_its_filter(self, clerk: Staff, mina: User) -> None:
        order = order_of(mina, {ProductFactory(): 1})
        page = clerk.get(LIST, status__exact="CANCELLED", paid_amount_from="1", paid_amount_to="99999", p="1", o="-1")
        assert list(page.context["cl"].result_list) == []
        addresses = {chip.title: chip.address for chip in page.context["chips"]}
        assert addresses == {
            "Status": "?paid_amount_from=1&paid_amount_to=99999&o=-1",
            "Paid (won)": "?status__exact=CANCELLED&o=-1",
        }
        assert f'href="{addresses["Status"]}"' in unescape(page.content.decode())
        without = clerk.client.get(f"{reverse(f'admin:{LIST}')}{addresses['Status']}")
        assert list(without.context["cl"].result_list) == [order]

    def test_shows_lookups_that_only_links_set(self, mina: User) -> None:
        order_of(mina, {ProductFactory(): 1})
        page = Staff(superuser=True).get("balances_ledgerentry_changelist", user__id__exact=mina.pk)
        assert chips(page) == [("User", "mina")]

    def test_hides_names_without_the_permission(self, mina: User) -> None:
        order_of(mina, {ProductFactory(name="Pen"): 1})
        page = Staff("orders.view_order").get(LIST, user__id__exact=mina.pk)
        assert chips(page) == [("User", f"#{mina.pk}")]

    @pytest.mark.parametrize(
        ("page", "query", "chip"),
        [
            (
                "products_product",
                {"is_active__exact": "1", "level": "out"},
                [("For sale", "yes"), ("Stock", "Out of stock")],
            ),
            ("balances_user", {"is_staff__exact": "0"}, [("Staff status", "no")]),
            ("balances_ledgerentry", {"type__exact": "REFUND"}, [("Type", "Refund")]),
            (
                "outbox_outboxmessage",
                {"state": "parked", "destination": "kafka"},
                [("State", "parked"), ("Destination", "kafka")],
            ),
            ("audit_staffaction", {"acted_at_days": "month"}, [("At", "this month")]),
        ],
    )
    def test_is_on_every_list(self, page: str, query: dict[str, str], chip: list[tuple[str, str]]) -> None:
        busy_shop()
        assert chips(Staff(superuser=True).get(f"{page}_changelist", **query)) == chip

    def test_ignores_invalid_values(self, clerk: Staff) -> None:
        query = {"status__exact": "LOST", "ordered_date_from": "2026-02-30", "paid_amount_to": "many"}
        assert chips(clerk.get(LIST, **query)) == []
        assert chips(clerk.get(LIST, ordered_date_days="century")) == []


class TestAPeriod:
    @pytest.fixture
    def today(self, monkeypatch: pytest.MonkeyPatch) -> date:
        """A fixed date in the middle of a month."""
        day = date(2026, 3, 15)
        monkeypatch.setattr("commerce.staff_pages.filters.timezone.localdate", lambda *_at: day)
        return day

    def test_is_offered_beside_each_range_of_days(self, clerk: Staff) -> None:
        page = clerk.get(LIST, status__exact="COMPLETED", ordered_date_from="2026-01-01")
        [(_title, periods)] = page.context["ranges"]
        assert [(str(name), address) for name, address, _is_shown in periods] == [
            ("today", "?status__exact=COMPLETED&ordered_date_days=today"),
            ("yesterday", "?status__exact=COMPLETED&ordered_date_days=yesterday"),
            ("last 7 days", "?status__exact=COMPLETED&ordered_date_days=7"),
            ("last 30 days", "?status__exact=COMPLETED&ordered_date_days=30"),
            ("this month", "?status__exact=COMPLETED&ordered_date_days=month"),
        ]

    @pytest.mark.parametrize(
        ("period", "days_ago"),
        [
            ("today", {0}),
            ("yesterday", {1}),
            ("7", {0, 1, 6}),
            ("30", {0, 1, 6, 7, 14, 15, 29}),
            ("month", {0, 1, 6, 7, 14}),
        ],
    )
    def test_means_whole_days_of_the_shop(
        self, clerk: Staff, mina: User, today: date, period: str, days_ago: set[int]
    ) -> None:
        pen = ProductFactory(stock=20)
        for number in (0, 1, 6, 7, 14, 15, 29, 30):
            order = order_of(mina, {pen: 1})
            Order.objects.filter(pk=order.pk).update(ordered_date=today - timedelta(days=number))
        found = clerk.get(LIST, ordered_date_days=period).context["cl"].result_list
        assert {(today - order.ordered_date).days for order in found} == days_ago

    def test_of_a_column_of_times_ends_at_midnight(self, mina: User) -> None:
        order_of(mina, {ProductFactory(): 1})
        entries = Staff(superuser=True).get("balances_ledgerentry_changelist", created_at_days="yesterday")
        assert list(entries.context["cl"].result_list) == []
        entries = Staff(superuser=True).get("balances_ledgerentry_changelist", created_at_days="today")
        assert len(entries.context["cl"].result_list) == 2

    def test_uses_the_index_of_the_day(self, clerk: Staff) -> None:
        page = clerk.get(LIST, ordered_date_days="7")
        assert page.context["cl"].queryset.query.order_by[:2] == ("-ordered_date", "-pk")

    def test_stays_when_another_filter_is_applied(self, clerk: Staff) -> None:
        page = unescape(clerk.get(LIST, ordered_date_days="7").content.decode())
        assert '<input type="hidden" name="ordered_date_days" value="7">' in page

    def test_an_unknown_one_is_reported(self, clerk: Staff) -> None:
        page = clerk.get(LIST, ordered_date_days="century").content.decode()
        assert "“century” is not a value of the filter “day”." in page


def save(staff: Staff, name: str, query: str = "status__exact=CANCELLED", list_of: str = LIST_OF) -> Page:
    return staff.post("view_save", list_of, name=name, query=query)


def newest_message(answer: Page) -> str:
    """The newest message; earlier ones of pages that were not opened come before it."""
    return messages_on(answer)[-1]


def saved(staff: Staff) -> list[tuple[str, str]]:
    return list(SavedView.objects.filter(owner=staff.user).order_by("name").values_list("name", "query"))


class TestASavedView:
    def test_is_kept_under_a_name_and_offered_on_its_list(self, clerk: Staff) -> None:
        answer = save(clerk, "Cancelled", "p=3&status__exact=CANCELLED&ordered_date_days=yesterday&paid_amount_to=&e=1")
        query = "ordered_date_days=yesterday&status__exact=CANCELLED"
        assert answer.headers["Location"] == f"/admin/orders/order/?{query}"
        assert newest_message(answer) == "The view “Cancelled” is saved."
        page = clerk.get(LIST)
        assert [(view.name, is_shown) for view, is_shown in page.context["views"]] == [("Cancelled", False)]
        assert f'href="?{query}"' in unescape(page.content.decode())
        shown = clerk.get(LIST, status__exact="CANCELLED", ordered_date_days="yesterday")
        assert [is_shown for _view, is_shown in shown.context["views"]] == [True]
        assert Staff(superuser=True).get("products_product_changelist").context["views"] == []

    def test_is_private_to_its_owner(self, clerk: Staff) -> None:
        save(clerk, "Mine")
        view = SavedView.objects.get()
        other = Staff(superuser=True)
        assert other.get(LIST).context["views"] == []
        assert other.post("view_delete", view.pk).status_code == 404
        assert saved(clerk) == [("Mine", "status__exact=CANCELLED")]

    def test_replaces_one_with_the_same_name(self, clerk: Staff) -> None:
        save(clerk, "Mine")
        save(clerk, "Mine", "status__exact=COMPLETED&o=-8")
        assert saved(clerk) == [("Mine", "o=-8&status__exact=COMPLETED")]

    def test_is_deleted_by_one_click(self, clerk: Staff) -> None:
        save(clerk, "Mine")
        answer = clerk.post("view_delete", SavedView.objects.get().pk, query="status__exact=CANCELLED")
        assert answer.headers["Location"] == "/admin/orders/order/?status__exact=CANCELLED"
        assert newest_message(answer) == "The view “Mine” is deleted."
        assert saved(clerk) == []
        assert clerk.client.get(reverse("admin:view_delete", args=[1])).status_code == 405

    @pytest.mark.parametrize(
        ("name", "query"),
        [
            ("", "status__exact=CANCELLED"),
            ("a\u200bb", "status__exact=CANCELLED"),
            ("x" * 61, "status__exact=CANCELLED"),
            ("nothing", ""),
            ("nothing", "p=7"),
            ("long", f"q={'x' * 2_000}"),
            ("\x00", "q=1"),
        ],
    )
    def test_requires_a_name_and_a_filter(self, clerk: Staff, name: str, query: str) -> None:
        with nothing_changes():
            answer = save(clerk, name, query)
        assert answer.status_code == 302
        assert messages_on(answer) != []
        assert saved(clerk) == []

    @pytest.mark.parametrize(
        "list_of", ["orders.nothing", "nothing", "orders.orderitem", "..", "sessions.session", "\x00"]
    )
    def test_requires_an_existing_list(self, clerk: Staff, list_of: str) -> None:
        assert save(clerk, "Mine", list_of=list_of).status_code == 404

    def test_requires_the_permission_for_its_list(self) -> None:
        assert save(Staff("products.view_product"), "Mine").status_code == 403

    def test_redirects_only_to_its_list(self, clerk: Staff) -> None:
        answer = save(clerk, "Mine", "q=//evil.example&next=https://evil.example")
        assert answer.headers["Location"].startswith("/admin/orders/order/?")

    def test_costs_the_list_one_query(self, clerk: Staff) -> None:
        with statements() as none:
            clerk.get(LIST)
        for number in range(5):
            save(clerk, f"View {number}")
        with statements() as five:
            clerk.get(LIST)
        assert len(five) == len(none)

    def test_the_database_requires_a_name_and_a_filter(self) -> None:
        owner = StaffFactory()
        for name, query in (("", "q=1"), ("Mine", "")):
            with pytest.raises(IntegrityError, match="saved_view_says_something"), transaction.atomic():
                SavedView.objects.create(owner=owner, list_of=LIST_OF, name=name, query=query)


class TestTheLimit:
    """The limit of saved views per list, also for simultaneous requests."""

    @pytest.fixture
    def almost_full(self, clerk: Staff) -> Staff:
        for number in range(saved_views.MOST_OF_A_LIST - 1):
            save(clerk, f"View {number:02}")
        return clerk

    def test_is_reported(self, almost_full: Staff) -> None:
        assert newest_message(save(almost_full, "The last")) == "The view “The last” is saved."
        assert newest_message(save(almost_full, "One more")) == "At most 20 views of a list are kept. Delete one first."
        assert newest_message(save(almost_full, "The last", "q=7")) == "The view “The last” is saved."
        assert len(saved(almost_full)) == saved_views.MOST_OF_A_LIST

    def race(self, staff: Staff) -> int:
        """Save the last allowed view twice at the same time; returns the number of views."""

        def keep(name: str) -> None:
            with suppress(saved_views.TooManyViews):
                saved_views.save_view(owner_id=staff.user.pk, list_of=LIST_OF, name=name, query="q=1")

        together([partial(keep, "One"), partial(keep, "Other")])
        return len(saved(staff))

    @contextmanager
    def both_have_counted(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[Meeting]:
        """Both wait for each other between counting and inserting, if the lock allows it."""
        meeting, views_of = Meeting(seconds=0.3), saved_views.views_of

        def counted(*asked: Any) -> Any:
            found = views_of(*asked)
            len(found)
            meeting.attend()
            return found

        with monkeypatch.context() as patched:
            patched.setattr(saved_views, "views_of", counted)
            yield meeting

    def test_holds_for_concurrent_requests(self, almost_full: Staff, monkeypatch: pytest.MonkeyPatch) -> None:
        with self.both_have_counted(monkeypatch) as meeting:
            assert self.race(almost_full) == saved_views.MOST_OF_A_LIST
        assert not meeting.took_place

    def test_control_without_the_lock_both_are_saved(self, almost_full: Staff, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(saved_views, "_wait_for_others_of", lambda _owner_id: None)
        with self.both_have_counted(monkeypatch) as meeting:
            assert self.race(almost_full) == saved_views.MOST_OF_A_LIST + 1
        assert meeting.took_place


def test_today_is_the_shops_day(clerk: Staff, mina: User) -> None:
    order = order_of(mina, {ProductFactory(): 1})
    assert order.ordered_date == timezone.localdate(order.created_at)
    assert list(clerk.get(LIST, ordered_date_days="today").context["cl"].result_list) == [order]
