"""The page of a counted event links to the event's row and messages."""

import re

import pytest

from commerce.outbox.models import OutboxMessage
from commerce.outbox.publish import short_event_id
from stats.models import ProcessedEvent
from tests.back_office.staff import Page, Staff
from tests.operations.busy_shop import BusyShop, busy_shop

pytestmark = pytest.mark.django_db(transaction=True)

PAGE = "stats_processedevent_change"


@pytest.fixture
def shop() -> BusyShop:
    return busy_shop()


@pytest.fixture
def operator() -> Staff:
    return Staff("stats.view_processedevent", "outbox.view_outboxmessage", "orders.view_order")


def counted(event_type: str, number: int) -> str:
    """The id of the counted event."""
    return str(ProcessedEvent.objects.get(event_id__startswith=f"{event_type}:{number}:").pk)


def links_of(page: Page) -> dict[str, str]:
    """The URLs of the page's links, by their text."""
    found = re.findall(r'<a class="text-link" href="([^"]+)">([^<]+)</a>', page.content.decode())
    return {text: address.replace("&amp;", "&") for address, text in found}


@pytest.mark.parametrize("kind", ["order-completed", "order-cancelled"])
def test_of_an_order_to_the_order_and_its_messages(operator: Staff, shop: BusyShop, kind: str) -> None:
    event_id = counted(kind, shop.cancelled.pk)
    links = links_of(operator.get(PAGE, event_id))
    assert links[f"#{shop.cancelled.pk}"] == f"/admin/orders/order/{shop.cancelled.pk}/change/"
    assert operator.client.get(links[f"#{shop.cancelled.pk}"]).status_code == 200
    listed = operator.client.get(links[event_id]).context["cl"].result_list
    sent = OutboxMessage.objects.filter(event_id=event_id).values_list("pk", flat=True)
    assert {message.pk for message in listed} == set(sent) != set()


def test_of_a_refund_to_the_order_of_the_refund(operator: Staff, shop: BusyShop) -> None:
    refund = shop.refunded.refunds.latest("pk")
    links = links_of(operator.get(PAGE, counted("order-refunded", refund.pk)))
    led = operator.client.get(links[f"#{refund.pk}"])
    assert led.headers["Location"] == f"/admin/orders/order/{shop.refunded.pk}/change/"


def test_of_an_id_without_a_time(operator: Staff, shop: BusyShop) -> None:
    """Event ids of earlier releases contain no time."""
    event_id = short_event_id("order-completed", shop.last.pk)
    ProcessedEvent.objects.create(event_id=event_id)
    links = links_of(operator.get(PAGE, event_id))
    assert links[f"#{shop.last.pk}"] == f"/admin/orders/order/{shop.last.pk}/change/"


def test_of_what_is_no_event_of_the_shop_to_nothing(operator: Staff) -> None:
    ProcessedEvent.objects.create(event_id="order-completed:x")
    ProcessedEvent.objects.create(event_id="parcel-lost:1")
    for event_id in ("order-completed:x", "parcel-lost:1"):
        assert set(links_of(operator.get(PAGE, event_id))) == {event_id}


def test_not_to_messages_that_the_reader_may_not_see(shop: BusyShop) -> None:
    event_id = counted("order-completed", shop.last.pk)
    links = links_of(Staff("stats.view_processedevent").get(PAGE, event_id))
    assert event_id not in links
