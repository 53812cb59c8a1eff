"""The global search on Ctrl-K: results, permissions, indexes, and the empty result."""

import pytest

from commerce.core import sql
from commerce.outbox.models import OutboxMessage
from tests.back_office.staff import Staff, messages_on
from tests.factories import UserFactory
from tests.operations.busy_shop import busy_shop
from tests.plans import plan_of
from tests.shop_state import statements

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def admin_user() -> Staff:
    return Staff(superuser=True)


def links(staff: Staff, term: str) -> list[str]:
    page = staff.get("search", s=term, extended="1")
    assert page.status_code == 200
    return [result.link for result in page.context["results"]]


def test_each_kind_is_found_by_its_names(admin_user: Staff) -> None:
    shop = busy_shop()
    kim = UserFactory(username="kim7", first_name="철수", last_name="김", email="kim@example.com")
    customer = f"/admin/balances/user/{kim.pk}/change/"
    for term in ("kim7", "KIM", "김철수", "철수", "kim@example.com"):
        assert links(admin_user, term) == [customer], term
    order = f"/admin/orders/order/{shop.last.pk}/change/"
    assert links(admin_user, str(shop.last.pk))[0] == order
    assert links(admin_user, f"#{shop.last.pk}")[0] == order
    assert f"/admin/products/product/{shop.pen.pk}/change/" in links(admin_user, shop.pen.name.lower())
    assert f"/admin/coupons/coupon/{shop.held.coupon_id}/change/" in links(admin_user, shop.held.coupon.name)
    messages = OutboxMessage.objects.filter(event_id__startswith=f"order-completed:{shop.last.pk}:").order_by("id")
    found = [f"/admin/outbox/outboxmessage/{message.pk}/change/" for message in messages]
    assert found
    assert links(admin_user, f"order-completed:{shop.last.pk}") == found
    assert links(admin_user, messages[0].event_id) == found


def test_a_renamed_row_is_found_at_once(admin_user: Staff) -> None:
    shop = busy_shop()
    assert links(admin_user, "Heron") == []
    type(shop.pen).objects.filter(pk=shop.pen.pk).update(name="Heron quill")
    assert links(admin_user, "Heron") == [f"/admin/products/product/{shop.pen.pk}/change/"]


@pytest.mark.parametrize("term", ["nobody-is-called-so", "%", "order-completed:999999", "9" * 30, "\\", "'"])
def test_an_empty_result_is_reported(admin_user: Staff, term: str) -> None:
    page = admin_user.get("search", s=term, extended="1").content.decode()
    assert "Nothing was found" in page
    # The element that the library's script reads.
    assert 'id="command-results-list"' in page


def test_enter_opens_the_first_result(admin_user: Staff) -> None:
    shop = busy_shop()
    assert admin_user.get("search", s=str(shop.last.pk), go="1").headers["Location"].endswith(f"{shop.last.pk}/change/")
    nothing = admin_user.get("search", s="nobody-is-called-so", go="1")
    assert messages_on(nothing) == ["Nothing was found for “nobody-is-called-so”."]


@pytest.mark.parametrize(
    ("right", "kind"),
    [
        ("orders.view_order", "orders/order"),
        ("balances.view_user", "balances/user"),
        ("products.view_product", "products/product"),
        ("coupons.view_coupon", "coupons/coupon"),
    ],
)
def test_results_follow_the_users_permissions(right: str, kind: str) -> None:
    shop = busy_shop()
    # An id that an order, a customer, a product and a coupon have.
    sql.execute("UPDATE coupon SET name = %s", [str(shop.last.pk)])
    sql.execute("UPDATE product SET name = %s", [str(shop.last.pk)])
    sql.execute('UPDATE "user" SET username = %s WHERE id = %s', [str(shop.last.pk), shop.mina.pk])
    with statements() as ran:
        found = links(Staff(right), str(shop.last.pk))
    assert found
    assert {link.removeprefix("/admin/").rsplit("/", 3)[0] for link in found} == {kind}
    assert ran


def test_without_permissions_nothing_is_found() -> None:
    shop = busy_shop()
    assert links(Staff(), str(shop.last.pk)) == []


def test_a_search_takes_few_queries_and_uses_indexes(admin_user: Staff) -> None:
    shop = busy_shop()
    sql.execute("ANALYZE")
    for term in (str(shop.last.pk), "shopper", f"order-completed:{shop.last.pk}", "kim@example.com"):
        with statements() as ran:
            links(admin_user, term)
        assert len(ran) <= 14, ran
        for statement in ran:
            # The tables of products and coupons are small and are read completely.
            if not any(f'FROM "{table}"' in statement for table in ("order", "user", "outbox_message")):
                continue
            plan = plan_of(statement.replace("%", "%%"), [])
            assert not any(f"Seq Scan on {table}" in plan for table in ('"order"', '"user"', "outbox_message")), plan


def test_the_menu_is_searched_too() -> None:
    assert links(Staff("orders.view_order"), "order") == ["/admin/orders/order/"]
    assert links(Staff("products.view_product"), "order") == []
