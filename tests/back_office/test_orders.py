"""Orders in the back-office: search, filters, the list, and the page of an order."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from balances.events import balance_changed
from balances.models import LedgerEntry, User
from commerce.audit.record import Staff as Colleague
from commerce.core import sql
from commerce.idempotency.commit import Idempotency
from commerce.outbox.models import OutboxMessage
from coupons.models import UserCoupon
from orders.admin import searching
from orders.events import order_cancelled, order_completed
from orders.models import Order
from orders.services import cancel_order
from products.models import Product, StockMovement
from tests.back_office.staff import Page, Staff, messages_on
from tests.factories import (
    CouponFactory,
    ProductFactory,
    StaffFactory,
    UserCouponFactory,
    UserFactory,
    expired_coupon_of,
    order_of,
)
from tests.shop_state import nothing_changes, statements

pytestmark = pytest.mark.django_db(transaction=True)

LIST, PAGE = "orders_order_changelist", "orders_order_change"
EVERYTHING = (
    *("orders.view_order", "orders.cancel_order"),
    *("balances.view_user", "balances.view_ledgerentry", "products.view_product", "products.view_stockmovement"),
    *("coupons.view_coupon", "coupons.view_usercoupon", "outbox.view_outboxmessage", "outbox.view_deliveryattempt"),
    "audit.view_staffaction",
)


@pytest.fixture
def clerk() -> Staff:
    return Staff(*EVERYTHING)


@pytest.fixture
def mina() -> User:
    return UserFactory(username="mina", email="mina@shop.kr", balance=100_000)


@pytest.fixture
def joon() -> User:
    return UserFactory(username="joon", balance=100_000)


@pytest.fixture
def pen() -> Product:
    return ProductFactory(name="Fountain Pen", price=3_000, stock=50)


@pytest.fixture
def ink() -> Product:
    return ProductFactory(name="Ink", price=7_000, stock=50)


def shown(page: Page) -> list[Order]:
    return list(page.context["cl"].result_list)


class TestTheSearchBox:
    def test_opens_an_order_by_its_number(self, clerk: Staff, mina: User, pen: Product) -> None:
        order = order_of(mina, {pen: 1})
        for typed in (str(order.pk), f"#{order.pk}", f" {order.pk} "):
            answer = clerk.get(LIST, q=typed)
            assert (answer.status_code, answer.headers["Location"]) == (302, f"/admin/orders/order/{order.pk}/change/")

    def test_shows_an_empty_list_for_an_unknown_number(self, clerk: Staff, mina: User, pen: Product) -> None:
        order = order_of(mina, {pen: 1})
        assert shown(clerk.get(LIST, q=str(order.pk + 1))) == []

    def test_reveals_nothing_without_the_permission(self, mina: User, pen: Product) -> None:
        assert Staff().get(LIST, q=str(order_of(mina, {pen: 1}).pk)).status_code == 403

    def test_finds_a_number_within_the_filters_only(self, clerk: Staff, mina: User, pen: Product) -> None:
        order = order_of(mina, {pen: 1})
        assert shown(clerk.get(LIST, q=str(order.pk), status__exact="COMPLETED")) == [order]
        assert shown(clerk.get(LIST, q=str(order.pk), status__exact="CANCELLED")) == []

    def test_finds_customers_by_prefix_email_and_number(
        self, clerk: Staff, mina: User, joon: User, pen: Product
    ) -> None:
        hers, his = order_of(mina, {pen: 1}), order_of(joon, {pen: 1})
        User.objects.filter(pk=mina.pk).update(last_name="김", first_name="미나")
        names = ("mina", "MINA", "mi", "Mi", "김미나", "김 미나", "미나 김", "미나")
        for typed in (*names, "mina@shop.kr", "MINA@shop.kr", f"customer:{mina.pk}", f"Customer: {mina.pk}"):
            assert shown(clerk.get(LIST, q=typed)) == [hers], typed
        assert shown(clerk.get(LIST, q="jo")) == [his]
        for typed in ("ina", "shop.kr", "mina@shop", "nobody", f"customer:{joon.pk + 1_000}"):
            assert shown(clerk.get(LIST, q=typed)) == [], typed

    def test_finds_products_by_a_part_of_the_name_and_by_number(
        self, clerk: Staff, mina: User, pen: Product, ink: Product
    ) -> None:
        with_pen, with_ink, with_both = (
            order_of(mina, {pen: 1}),
            order_of(mina, {ink: 1}),
            order_of(mina, {pen: 1, ink: 2}),
        )
        for typed in ("fountain", "Fountain Pen", "pen  fountain", "pen", f"product:{pen.pk}"):
            assert shown(clerk.get(LIST, q=typed)) == [with_both, with_pen], typed
        assert shown(clerk.get(LIST, q="ink")) == [with_both, with_ink]

    def test_finds_orders_by_customer_or_product(self, clerk: Staff, mina: User, joon: User, ink: Product) -> None:
        UserFactory(username="minaret")
        lamp = ProductFactory(name="Mina lamp")
        hers, lit = order_of(mina, {ink: 1, lamp: 1}), order_of(joon, {lamp: 1})
        other = order_of(joon, {ink: 1})
        assert shown(clerk.get(LIST, q="mina")) == [lit, hers]
        assert other not in shown(clerk.get(LIST, q="mina"))

    def test_prefers_an_exact_user_name(self, clerk: Staff, mina: User, pen: Product) -> None:
        hers, others = order_of(mina, {pen: 1}), order_of(UserFactory(username="minari", balance=3_000), {pen: 1})
        assert shown(clerk.get(LIST, q="mina")) == [hers]
        assert shown(clerk.get(LIST, q="minar")) == [others]
        assert shown(clerk.get(LIST, q="min")) == [others, hers]

    def test_reports_too_many_matches(
        self, clerk: Staff, mina: User, pen: Product, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(searching, "MOST_CALLED", 1)
        exactly = order_of(mina, {ProductFactory(name="Pen"): 1})
        order_of(UserFactory(username="minari", balance=3_000), {pen: 1})
        too_many = clerk.get(LIST, q="min")
        assert shown(too_many) == []
        assert (
            "More than 1 customers&#x27; names begin with “min”: enter more of the name." in too_many.content.decode()
        )
        assert shown(clerk.get(LIST, q="Pen")) == [exactly]

    @pytest.mark.parametrize(
        "typed", ["%", "_", "'", '"', "\\", "customer:", "customer:abc", "#", "9" * 30, "주문", " "]
    )
    def test_accepts_any_text(self, clerk: Staff, mina: User, pen: Product, typed: str) -> None:
        order_of(mina, {pen: 1})
        assert clerk.get(LIST, q=typed).status_code == 200


class TestTheFilters:
    def test_filter_by_status_day_amount_customer_product_coupon(
        self, clerk: Staff, mina: User, joon: User, pen: Product, ink: Product
    ) -> None:
        unit = UserCouponFactory(user=mina, coupon=CouponFactory(discount_value=1_000))
        cheap, dear, gone = order_of(mina, {pen: 1}, coupon=unit), order_of(joon, {ink: 3}), order_of(joon, {pen: 2})
        cancel_order(order_id=gone.pk, owner_id=None, idempotency=Idempotency.none())
        today = timezone.localdate()
        Order.objects.filter(pk=cheap.pk).update(ordered_date=today - timedelta(days=3))

        def found(**query: Any) -> list[Order]:
            return shown(clerk.get(LIST, **query))

        assert found(status__exact="CANCELLED") == [gone]
        assert found(ordered_date_from=today.isoformat()) == [gone, dear]
        assert found(ordered_date_to=(today - timedelta(days=1)).isoformat()) == [cheap]
        assert found(ordered_date_from=(today - timedelta(days=3)).isoformat()) == [gone, dear, cheap]
        assert found(paid_amount_from="2001") == [gone, dear]
        assert found(paid_amount_from="2000", paid_amount_to="6000") == [gone, cheap]
        assert found(user__id__exact=joon.pk) == [gone, dear]
        assert found(product=ink.pk) == [dear]
        assert found(product=pen.pk, status__exact="COMPLETED") == [cheap]
        assert found(coupon="with") == [cheap]
        assert found(coupon="without") == [gone, dear]
        assert found(user_coupon__coupon__id__exact=unit.coupon_id) == [cheap]
        assert found(coupon="with", q="joon") == []

    @pytest.mark.parametrize("product", ["abc", "-1", "9" * 30, "1.5", "0"])
    def test_show_nothing_for_an_unknown_product(self, clerk: Staff, mina: User, pen: Product, product: str) -> None:
        order_of(mina, {pen: 1})
        assert shown(clerk.get(LIST, product=product)) == []

    def test_offer_only_what_the_user_may_view(self) -> None:
        page = Staff("orders.view_order").get(LIST)
        assert [spec.title for spec in page.context["cl"].filter_specs] == [
            "status",
            "day",
            "paid (won)",
            "coupon used",
            "refunds",
        ]

    def test_days_use_their_index_and_other_filters_the_number(self, clerk: Staff) -> None:
        assert set(clerk.get(LIST).context["cl"].queryset.query.order_by) == {"-pk"}
        by_day = clerk.get(LIST, ordered_date_from="2026-01-01", ordered_date_to="")
        assert by_day.context["cl"].queryset.query.order_by[:2] == ("-ordered_date", "-pk")


class TestTheList:
    def test_shows_the_main_data_of_an_order(self, clerk: Staff, mina: User, pen: Product, ink: Product) -> None:
        unit = UserCouponFactory(user=mina, coupon=CouponFactory(name="Welcome", discount_value=1_000))
        order = order_of(mina, {pen: 2, ink: 1}, coupon=unit)
        page = clerk.get(LIST).content.decode()
        for sentence in (
            f'href="/admin/balances/user/{mina.pk}/change/">mina</a>',
            f"{timezone.localtime(order.created_at):%Y-%m-%d %H:%M}",
            "2 × Fountain Pen and 1 more",
            *("₩13,000", "-₩1,000", "₩12,000", "Welcome", "Completed"),
        ):
            assert sentence in page

    def test_shows_customers_without_links_without_permission(self, mina: User, pen: Product) -> None:
        order_of(mina, {pen: 1})
        page = Staff("orders.view_order").get(LIST).content.decode()
        assert "mina" in page
        assert "/admin/balances/user/" not in page

    def test_takes_a_constant_number_of_queries(
        self, clerk: Staff, mina: User, joon: User, pen: Product, ink: Product
    ) -> None:
        order_of(mina, {pen: 1})
        with statements() as few:
            clerk.get(LIST)
        for buyer in (mina, joon) * 5:
            order_of(buyer, {pen: 1, ink: 1})
        with statements() as many:
            clerk.get(LIST)
        assert len(many) == len(few) <= 9


def moments_on(page: Page) -> list[str]:
    """The titles of the timeline's entries."""
    return [moment.title for moment in page.context["timeline"]]


class TestThePageOfAnOrder:
    @pytest.fixture
    def unit(self, mina: User) -> UserCoupon:
        return UserCouponFactory(user=mina, coupon=CouponFactory(name="Welcome", discount_value=1_000))

    def test_has_a_head_and_the_items(
        self, clerk: Staff, mina: User, pen: Product, ink: Product, unit: UserCoupon
    ) -> None:
        order = order_of(mina, {pen: 2, ink: 1}, coupon=unit)
        page = clerk.get(PAGE, order.pk).content.decode()
        for sentence in (
            f'href="/admin/balances/user/{mina.pk}/change/">mina</a>',
            f'href="/admin/coupons/usercoupon/{unit.pk}/change/">Welcome</a>',
            f'href="/admin/products/product/{pen.pk}/change/">Fountain Pen</a>',
            f'href="/admin/orders/order/{order.pk}/cancel/"',
            *("mina@shop.kr", "₩88,000", "₩12,000", "₩13,000 less ₩1,000", "₩6,000", "₩7,000", "-₩1,000"),
        ):
            assert sentence in page
        # Orders are not editable: the page has only the forms for logout and language.
        assert 'id="order_form"' not in page

    def test_has_a_timeline_oldest_first(
        self, clerk: Staff, mina: User, pen: Product, ink: Product, unit: UserCoupon
    ) -> None:
        order = order_of(mina, {pen: 2, ink: 1}, coupon=unit)
        colleague = StaffFactory(username="hana")
        cancel_order(
            order_id=order.pk,
            owner_id=None,
            idempotency=Idempotency.none(),
            by=Colleague(colleague.pk, "The pens leak."),
        )
        payment = LedgerEntry.objects.get(order_id=order.pk, type="PAYMENT")
        refund = LedgerEntry.objects.get(order_id=order.pk, type="REFUND")
        page = clerk.get(PAGE, order.pk)
        moments = page.context["timeline"]
        assert [(moment.title, moment.detail) for moment in moments if not moment.title.startswith("Event")] == [
            ("Placed and paid", "3 units for ₩12,000"),
            ("Coupon used: Welcome", "-₩1,000"),
            ("Stock of Fountain Pen: -2", "Sale"),
            ("Stock of Ink: -1", "Sale"),
            ("Payment -₩12,000", "balance after: ₩88,000"),
            ("Cancelled", "₩12,000 refunded"),
            (
                "Coupon given back: Welcome",
                f"usable until {timezone.localtime(unit.expires_at):%Y-%m-%d %H:%M}",
            ),
            ("Stock of Fountain Pen: +2", "Return"),
            ("Stock of Ink: +1", "Return"),
            ("Refund +₩12,000", "balance after: ₩100,000"),
            ("Cancelled and refunded by hana", "The pens leak."),
        ]
        assert [moment.title for moment in moments if moment.title.startswith("Event")] == [
            f"Event {order_completed(order).id}",
            f"Event {balance_changed(payment).id}",
            f"Event {order_cancelled(Order.objects.get(pk=order.pk)).id}",
            f"Event {balance_changed(refund).id}",
        ]
        assert [moment.at for moment in moments] == sorted(moment.at for moment in moments)

    def test_links_each_event_to_its_page(self, clerk: Staff, mina: User, pen: Product, unit: UserCoupon) -> None:
        order = order_of(mina, {pen: 2}, coupon=unit)
        colleague = StaffFactory()
        cancel_order(
            order_id=order.pk,
            owner_id=None,
            idempotency=Idempotency.none(),
            by=Colleague(colleague.pk, "Wrong address."),
        )
        moments = clerk.get(PAGE, order.pk).context["timeline"]
        addresses = [moment.address for moment in moments] + [mark.address for each in moments for mark in each.marks]
        kinds = {"/".join(address.split("/")[2:4]) for address in addresses if address}
        assert kinds == {
            *("coupons/usercoupon", "products/stockmovement", "balances/ledgerentry"),
            *("outbox/outboxmessage", "audit/staffaction"),
        }
        admin = Staff(superuser=True)
        for address in filter(None, addresses):
            assert admin.client.get(address).status_code == 200, address

    def test_shows_states_of_messages_and_results_of_calls(
        self, clerk: Staff, mina: User, pen: Product, settings: Any
    ) -> None:
        settings.DATA_PLATFORM_URL = "http://data.example"
        order = order_of(mina, {pen: 1})
        kafka, platform = OutboxMessage.objects.filter(type="order-completed").order_by("destination").reverse()
        OutboxMessage.objects.filter(pk=kafka.pk).update(sent_at=timezone.now(), attempts=1)
        OutboxMessage.objects.filter(pk=platform.pk).update(parked_at=timezone.now(), attempts=2, last_error="HTTP 500")
        for number, (status, outcome, error) in enumerate(
            [(500, "refused", "Sorry"), (None, "no-answer", "timed out")]
        ):
            sql.execute(
                "INSERT INTO delivery_attempt"
                " (message_id, destination, attempted_at, duration_ms, http_status, outcome, error)"
                " VALUES (%s, 'data-platform', now() + %s * interval '1 second', 12, %s, %s, %s)",
                [platform.pk, number, status, outcome, error],
            )
        moments = clerk.get(PAGE, order.pk).context["timeline"]
        (event,) = [moment for moment in moments if moment.title == f"Event {order_completed(order).id}"]
        assert event.detail == "HTTP 500"
        assert {(mark.text, mark.colour) for mark in event.marks} == {
            ("kafka: sent", "success"),
            ("data-platform: parked", "danger"),
        }
        calls = [moment for moment in moments if moment.icon == "local_shipping"]
        assert [(call.title, call.detail, call.marks[0].text) for call in calls] == [
            (f"Call to data-platform: {order_completed(order).id}", "HTTP 500 · 12 ms · Sorry", "refused"),
            (
                f"Call to data-platform: {order_completed(order).id}",
                "no HTTP status · 12 ms · timed out",
                "no answer",
            ),
        ]

    def test_shows_that_a_returned_coupon_has_expired(
        self, clerk: Staff, mina: User, pen: Product, unit: UserCoupon
    ) -> None:
        order = order_of(mina, {pen: 1}, coupon=unit)
        expired = expired_coupon_of(UserFactory())
        UserCoupon.objects.filter(pk=unit.pk).update(expires_at=expired.expires_at)
        cancel_order(order_id=order.pk, owner_id=None, idempotency=Idempotency.none())
        (given_back,) = [
            moment
            for moment in clerk.get(PAGE, order.pk).context["timeline"]
            if moment.title == "Coupon given back: Welcome"
        ]
        assert given_back.detail == "its time was over"

    def test_hides_what_the_user_may_not_view(self, mina: User, pen: Product, unit: UserCoupon) -> None:
        order = order_of(mina, {pen: 1}, coupon=unit)
        cancel_order(
            order_id=order.pk,
            owner_id=None,
            idempotency=Idempotency.none(),
            by=Colleague(StaffFactory(username="hana").pk, "No."),
        )
        page = Staff("orders.view_order").get(PAGE, order.pk)
        assert moments_on(page) == ["Placed and paid", "Cancelled", "Cancelled and refunded by hana"]
        text = page.content.decode()
        for hidden in (
            "₩97,000",
            "₩100,000",
            "/admin/balances/",
            "/admin/products/",
            "/admin/coupons/",
            "/admin/audit/",
        ):
            assert hidden not in text
        ledger_only = moments_on(Staff("orders.view_order", "balances.view_ledgerentry").get(PAGE, order.pk))
        assert ledger_only == [
            *("Placed and paid", "Payment -₩2,000", "Cancelled", "Refund +₩2,000", "Cancelled and refunded by hana"),
        ]

    def test_takes_the_same_queries_for_one_item_and_many(self, clerk: Staff, mina: User, pen: Product) -> None:
        small = order_of(mina, {pen: 1})
        large = order_of(mina, dict.fromkeys(ProductFactory.create_batch(20), 1))
        # Content types are cached by the process after the first page.
        clerk.get(PAGE, small.pk)
        with statements() as few:
            clerk.get(PAGE, small.pk)
        with statements() as many:
            clerk.get(PAGE, large.pk)
        assert len(many) == len(few) <= 14

    def test_is_read_only(self, mina: User, pen: Product) -> None:
        order = order_of(mina, {pen: 1})
        admin = Staff(superuser=True)
        with nothing_changes():
            assert admin.post(PAGE, order.pk, status="CANCELLED").status_code == 403
        assert StockMovement.objects.filter(order_id=order.pk).count() == 1
        assert messages_on(admin.get(PAGE, order.pk)) == []
