"""All pages of the back-office: they open with few queries, and nothing is deleted."""

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group
from django.db import models
from django.test import Client

from balances.models import LedgerEntry, User
from balances.services import charge_balance
from commerce.audit.models import StaffAction
from commerce.idempotency.commit import Idempotency
from commerce.idempotency.models import IdempotencyKey
from commerce.invariants.models import InvariantCheck
from commerce.outbox.models import DeliveryAttempt, OutboxMessage, WebhookSubscription
from coupons.models import Coupon, UserCoupon
from orders.models import Order, Refund
from products.models import Product, StockMovement
from reservations.models import Reservation
from stats.models import DeadLetter, ProcessedEvent, ProductStat
from tests.back_office.staff import Staff
from tests.factories import ProductFactory, UserFactory
from tests.operations.busy_shop import busy_shop
from tests.shop_state import nothing_changes, statements
from tests.webhooks.conftest import subscribe

pytestmark = pytest.mark.django_db(transaction=True)

HISTORY: list[type[models.Model]] = [
    LedgerEntry,
    StockMovement,
    Order,
    Refund,
    UserCoupon,
    OutboxMessage,
    DeliveryAttempt,
    IdempotencyKey,
    ProcessedEvent,
    ProductStat,
    DeadLetter,
    StaffAction,
]
EDITABLE: list[type[models.Model]] = [User, Product, Coupon, WebhookSubscription]


def page(model: type[models.Model], kind: str) -> str:
    return f"{model._meta.app_label}_{model._meta.model_name}_{kind}"


@pytest.fixture
def admin_user() -> Staff:
    return Staff(superuser=True)


def test_every_table_of_the_shop_has_its_pages() -> None:
    assert set(admin.site._registry) == {*HISTORY, *EDITABLE, Group, InvariantCheck, Reservation}


@pytest.mark.parametrize("model", [*HISTORY, *EDITABLE])
def test_lists_and_objects_open_with_a_bounded_number_of_queries(admin_user: Staff, model: type[models.Model]) -> None:
    busy_shop()
    with statements() as few:
        assert admin_user.get(page(model, "changelist")).status_code == 200
    charge_balance(user_id=UserFactory().pk, amount=1_000, idempotency=Idempotency.none())
    busy_shop()
    with statements() as more:
        assert admin_user.get(page(model, "changelist")).status_code == 200
    assert len(more) == len(few) <= 12
    for row in model._default_manager.all()[:3]:
        assert admin_user.get(page(model, "change"), row.pk).status_code == 200


@pytest.mark.parametrize("term", ["1", "mina", "%", "'", "\\", "9" * 30, "주스"])
def test_no_search_term_breaks_a_list(admin_user: Staff, term: str) -> None:
    busy_shop()
    for model in (*HISTORY, *EDITABLE):
        # A search for the number of an order redirects to the order.
        assert admin_user.get(page(model, "changelist"), q=term).status_code in (200, 302)


def test_history_is_read_only(admin_user: Staff) -> None:
    busy_shop()
    with nothing_changes():
        for model in HISTORY:
            row = model._default_manager.first()
            assert row is not None
            assert admin_user.get(page(model, "add")).status_code == 403
            assert admin_user.post(page(model, "add")).status_code == 403
            assert admin_user.post(page(model, "change"), row.pk).status_code == 403


def test_nothing_is_deleted(admin_user: Staff) -> None:
    busy_shop()
    subscribe("https://partner.example/")
    with nothing_changes():
        for model in (*HISTORY, *EDITABLE):
            row = model._default_manager.first()
            assert row is not None
            assert admin_user.post(page(model, "delete"), row.pk, post="yes").status_code == 403
            admin_user.post(page(model, "changelist"), action="delete_selected", _selected_action=row.pk, post="yes")


def test_customers_are_refused() -> None:
    customer = UserFactory()
    client = Client()
    client.force_login(customer)
    answer = client.get("/admin/")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/admin/login/?next=/admin/")


def test_staff_without_rights_see_nothing() -> None:
    busy_shop()
    clerk = Staff()
    assert clerk.get("index").status_code == 200
    for model in (*HISTORY, *EDITABLE):
        assert clerk.get(page(model, "changelist")).status_code == 403


def test_pages_follow_the_language_of_the_browser(admin_user: Staff) -> None:
    ProductFactory()
    page_in_korean = admin_user.client.get("/admin/products/product/", headers={"Accept-Language": "ko"})
    assert "커머스 백오피스" in page_in_korean.content.decode()


def test_a_stored_response_can_be_viewed(admin_user: Staff) -> None:
    shop = busy_shop()
    key = IdempotencyKey.objects.get()
    opened = admin_user.get("idempotency_idempotencykey_change", key.pk).content.decode()
    assert f"{{&quot;id&quot;:{shop.last.pk},&quot;userId&quot;:{shop.mina.pk}" in opened
    assert (b"f" * 32).hex() in opened

    def shown(outcome: str) -> list[IdempotencyKey]:
        return list(admin_user.get("idempotency_idempotencykey_changelist", outcome=outcome).context["cl"].queryset)

    assert shown("done") == [key]
    assert shown("refused") == []
    IdempotencyKey.objects.update(status=400)
    assert shown("refused") == [key]
    assert shown("done") == []
