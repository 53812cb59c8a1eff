"""Large request bodies in the back-office: only on pages that accept files, only from staff."""

from typing import Any

import pytest
from django.contrib.messages.storage.cookie import CookieStorage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django.urls import reverse
from pytest_django import Settings

from commerce.staff_access.middleware import UPLOADS_AT_ONCE, Uploads
from commerce.staff_pages.uploads import takes_upload
from products.models import ImportLine
from tests.back_office.staff import Page, Staff, messages_on
from tests.factories import StaffFactory, UserFactory

pytestmark = pytest.mark.django_db(transaction=True)

RIGHTS = ("products.view_product", "products.import_product", "products.add_product")
ROW = ",Pen,{},100,,\n"
HEAD = "id,name,description,price,is_active,stock_change\n"


def page() -> str:
    return reverse("admin:products_product_import")


def large_file() -> SimpleUploadedFile:
    """4,000 rows, 1.2 MB."""
    rows = (f",Pen {number},{'x' * 280},100,,\n" for number in range(4_000))
    return SimpleUploadedFile("pens.csv", (HEAD + "".join(rows)).encode())


class NeverRead:
    """A body that must not be read."""

    def read(self, size: int = -1) -> bytes:
        raise AssertionError("The body was read.")

    readline = read


def sends(client: Client, address: str, length: int) -> Page:
    """Submit a form of this length; the test fails if its body is read."""
    body: dict[str, Any] = {"CONTENT_LENGTH": str(length), "wsgi.input": NeverRead()}
    return client.generic("POST", address, content_type="multipart/form-data; boundary=x", **body)


def test_staff_may_send_files_larger_than_api_bodies(settings: Settings) -> None:
    clerk, file = Staff(*RIGHTS), large_file()
    assert (file.size or 0) > 4 * settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    assert clerk.client.post(page(), {"file": file}).status_code == 302
    assert ImportLine.objects.filter(plan="ADD").count() == 4_000


@pytest.mark.parametrize("address", ["products_product_add", "login", "products_product_changelist"])
def test_large_bodies_are_refused_on_other_pages(address: str) -> None:
    clerk = Staff(superuser=True)
    answer = sends(clerk.client, reverse(f"admin:{address}"), 300_000)
    assert answer.status_code == 413
    assert "The upload is too large." in answer.content.decode()


def test_a_too_large_upload_is_reported_on_its_page() -> None:
    answer = sends(Staff(*RIGHTS).client, page(), 3_000_000)
    assert (answer.status_code, answer.headers["Location"]) == (302, page())
    assert messages_on(answer) == ["The file is too large."]


def test_only_staff_may_send_large_bodies() -> None:
    customer, dismissed = Client(), Client()
    customer.force_login(UserFactory())
    gone = StaffFactory(is_superuser=True)
    dismissed.force_login(gone)
    gone.is_active = False
    gone.save()
    for client in (Client(), customer, dismissed):
        for address in (page(), reverse("admin:login")):
            assert sends(client, address, 300_000).status_code == 413


def test_concurrent_uploads_are_limited() -> None:
    """Reading an upload occupies a thread."""
    uploads = Uploads(lambda request: HttpResponse())
    taken = [uploads._turns.acquire(blocking=False) for _ in range(UPLOADS_AT_ONCE + 1)]
    assert taken == [True, True, False]

    def asked() -> HttpResponse | None:
        request: Any = RequestFactory().post("/admin/products/product/import/", {"file": large_file()})
        request.user = StaffFactory()
        request._messages = CookieStorage(request)
        return uploads.process_view(request, takes_upload(lambda request: HttpResponse()), (), {})

    turned_away = asked()
    assert turned_away is not None
    assert turned_away.headers["Location"] == page()
    uploads._turns.release()
    assert asked() is None
    assert uploads._turns.acquire(blocking=False)
