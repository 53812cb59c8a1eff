"""Error pages of the back-office, and forms that are sent after their session has expired."""

import re

import pytest
from django.test import Client
from django.urls import reverse

from balances.models import LedgerEntry, User
from commerce.staff_access.session_ends import SEEN_AT
from products.models import Product
from tests.back_office.staff import Page, Staff
from tests.factories import ProductFactory, StaffFactory, UserFactory
from tests.shop_state import nothing_changes
from tests.web_forms import fields_of

pytestmark = pytest.mark.django_db(transaction=True)

PASSWORD = "tangerine-4711"
ORIGIN = {"Origin": "http://testserver"}
REFUSED: dict[str, tuple[int, str, str]] = {
    "/admin/orders/order/?ordered_date__year=0": (400, "Invalid request", "잘못된 요청"),
    "/admin/orders/order/add/": (403, "Permission denied", "권한 없음"),
    "/admin/nowhere/": (404, "Page not found", "페이지 없음"),
    "/admin": (404, "Page not found", "페이지 없음"),
    "/admin/logout/": (405, "Not a page", "페이지가 아닌 주소"),
}


@pytest.fixture
def admin_user() -> Staff:
    return Staff(superuser=True)


def heading(answer: Page) -> str:
    """The heading of an error page, after checking that it links to the dashboard."""
    text = answer.content.decode()
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert 'href="/admin/"' in text
    found = re.search(r"<h1[^>]*>(.*?)</h1>", text)
    assert found is not None
    return found[1]


class TestAPage:
    @pytest.mark.parametrize("path", REFUSED)
    def test_explains_the_error_in_both_languages(self, admin_user: Staff, path: str) -> None:
        status, english, korean = REFUSED[path]
        for language, title in (("en", english), ("ko", korean)):
            answer = admin_user.client.get(path, headers={"Accept-Language": language})
            assert (answer.status_code, heading(answer)) == (status, title)
            assert f'<html lang="{language}"' in answer.content.decode()

    def test_of_a_crash_shows_the_request_id(self, admin_user: Staff, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("products.admin.ProductAdmin.get_queryset", lambda *_all: 1 // 0)
        admin_user.client.raise_request_exception = False
        headers = {"X-Request-ID": "request-4711"}
        answer = admin_user.client.get("/admin/products/product/", headers=headers)
        assert (answer.status_code, heading(answer)) == (500, "Internal error")
        assert "request-4711" in answer.content.decode()

    def test_links_to_the_previous_page_of_this_site_only(self, admin_user: Staff) -> None:
        path = "/admin/nowhere/"
        headers = {"Host": "testserver", "Referer": "http://testserver/admin/orders/order/?q=mina"}
        assert 'href="/admin/orders/order/?q=mina"' in admin_user.client.get(path, headers=headers).content.decode()
        headers = {"Host": "testserver", "Referer": "http://evil.example.com/admin/orders/order/?q=mina"}
        assert "q=mina" not in admin_user.client.get(path, headers=headers).content.decode()

    def test_is_not_used_for_the_api(self, admin_user: Staff) -> None:
        answer = admin_user.client.get("/nowhere")
        assert (answer.status_code, answer.headers["Content-Type"]) == (404, "application/problem+json")

    def test_is_shown_for_a_too_large_body(self, admin_user: Staff) -> None:
        answer = admin_user.client.post("/admin/products/product/add/", {"name": "x" * 300_000})
        assert (answer.status_code, heading(answer)) == (413, "The upload is too large.")


class Browser:
    """A browser window of a member of staff, with CSRF checks."""

    def __init__(self, user: User) -> None:
        self.user = user
        self.client = Client(enforce_csrf_checks=True, headers=ORIGIN)

    def log_in(self) -> Page:
        answer = self.send("/admin/login/", self.client.get("/admin/login/?next=/admin/"))
        # The first page stores the start of the session.
        self.client.get("/admin/jsi18n/")
        return answer

    def send(self, path: str, page: Page, **typed: str) -> Page:
        """Submit the form of an opened page with these values."""
        fields = fields_of(page.content.decode())
        if "password" in fields:
            typed |= {"username": self.user.username, "password": PASSWORD}
        return self.client.post(path, {**fields, **typed})

    def end_session(self) -> None:
        session = self.client.session
        session[SEEN_AT] -= 24 * 3_600
        session.save()


@pytest.fixture
def browser() -> Browser:
    browser = Browser(StaffFactory(username="jimin", password=PASSWORD, is_superuser=True))
    assert browser.log_in().status_code == 302
    return browser


class TestAForm:
    """A form that was opened in a session which has ended or was replaced since."""

    @pytest.fixture
    def product(self) -> Product:
        return ProductFactory(name="Pen", price=3_000, stock=10)

    @pytest.fixture
    def path(self, product: Product) -> str:
        return reverse("admin:products_product_change", args=[product.pk])

    def test_is_kept_through_the_login_and_sent_again(self, browser: Browser, product: Product, path: str) -> None:
        opened = browser.client.get(path)
        browser.end_session()
        late = browser.send(path, opened, name="Pencil", price="3500")
        assert late.status_code == 403
        assert "After the login you can send it again." in late.content.decode()
        product.refresh_from_db()
        assert product.name == "Pen"

        question = browser.send("/admin/login/", late)
        assert question.status_code == 200
        assert "Pencil" in re.findall("<dd[^>]*>(.*?)</dd>", question.content.decode())
        product.refresh_from_db()
        assert product.name == "Pen"
        again = browser.send(path, question)
        assert (again.status_code, again.headers["Location"]) == (302, "/admin/products/product/")
        product.refresh_from_db()
        assert (product.name, product.price) == ("Pencil", 3_500)

    def test_is_kept_when_the_first_password_is_wrong(self, browser: Browser, product: Product, path: str) -> None:
        opened = browser.client.get(path)
        browser.end_session()
        late = browser.send(path, opened, name="Pencil")
        wrong = browser.client.post(
            "/admin/login/",
            {**fields_of(late.content.decode()), "username": browser.user.username, "password": "guess"},
        )
        assert wrong.status_code == 200
        assert "Pencil" in browser.send("/admin/login/", wrong).content.decode()

    def test_of_a_page_opened_before_the_login_is_sent_again(
        self, browser: Browser, product: Product, path: str
    ) -> None:
        """After a login in another tab, the CSRF token of the open page is invalid."""
        opened = browser.client.get(path)
        browser.end_session()
        browser.log_in()
        late = browser.send(path, opened, name="Pencil")
        assert late.status_code == 403
        assert browser.send(path, late).status_code == 302
        product.refresh_from_db()
        assert product.name == "Pencil"

    def test_about_money_is_executed_once(self, browser: Browser) -> None:
        customer = UserFactory(balance=0)
        path = reverse("admin:balances_user_adjust", args=[customer.pk])
        opened = browser.client.get(path)
        browser.end_session()
        late = browser.send(path, opened, direction="credit", amount_won="500", reason="Late", confirmed="True")
        question = browser.send("/admin/login/", late)
        for _twice in range(2):
            assert browser.send(path, question).status_code == 302
        assert list(LedgerEntry.objects.values_list("amount", flat=True)) == [500]

    def test_of_another_site_is_refused(self, browser: Browser, path: str) -> None:
        with nothing_changes():
            answer = browser.client.post(path, {"name": "Pencil"}, headers={"Origin": "https://evil.example.com"})
        assert (answer.status_code, heading(answer)) == (403, "The page is out of date")
        assert "Pencil" not in answer.content.decode()

    def test_with_a_password_is_not_kept(self, browser: Browser) -> None:
        path = reverse("admin:balances_user_add")
        opened = browser.client.get(path)
        browser.end_session()
        late = browser.send(path, opened, username="newcomer", password1="mandarin-4712", password2="mandarin-4712")
        assert late.status_code == 403
        assert "mandarin" not in late.content.decode()
        assert 'name="kept_form"' not in late.content.decode()
        assert "Your form was not processed." in late.content.decode()

    def test_without_a_valid_signature_is_not_shown(self, browser: Browser) -> None:
        browser.end_session()
        page = browser.client.get("/admin/login/?next=/admin/")
        answer = browser.send("/admin/login/", page, kept_form="made-up")
        assert (answer.status_code, answer.headers["Location"]) == (302, "/admin/")

    def test_too_large_to_keep_reports_the_ended_session(self, browser: Browser) -> None:
        browser.end_session()
        answer = browser.client.post(reverse("admin:products_product_import"), {"file": "x" * 300_000})
        assert answer.status_code == 413
        assert "Your session may have ended." in answer.content.decode()

    def test_of_the_login_page_shows_the_login_again(self, browser: Browser) -> None:
        browser.end_session()
        page = browser.client.get("/admin/login/?next=/admin/")
        browser.log_in()
        browser.end_session()
        answer = browser.send("/admin/login/", page)
        assert answer.status_code == 403
        assert "The page was open for too long. Log in again." in answer.content.decode()
        assert browser.send("/admin/login/", answer).status_code == 302
