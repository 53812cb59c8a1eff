"""The back-office previews of e-mails."""

import pytest
from django.urls import reverse

from commerce.mail.emails import email_types, languages
from tests.back_office.staff import Staff

pytestmark = pytest.mark.django_db(transaction=True)


def test_every_email_is_shown_in_every_language() -> None:
    staff = Staff(superuser=True)
    shown = staff.get("mail_previews").content.decode()
    for event_type in email_types():
        for language in languages():
            assert reverse("admin:mail_preview", args=[event_type, language]) in shown
            page = staff.get("mail_preview", event_type, language)
            assert page.status_code == 200
            assert f"/mail/{event_type}/{language}/html/" in page.content.decode()


def test_the_html_is_in_a_frame_without_scripts() -> None:
    page = Staff(superuser=True).get("mail_preview_html", "order-completed", "en")
    assert page.headers["X-Frame-Options"] == "SAMEORIGIN"
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert "sandbox" in policy


@pytest.mark.parametrize(
    ("event_type", "language"), [("balance-changed", "en"), ("order-completed", "fr"), ("..", "en")]
)
def test_unknown_emails_are_not_found(event_type: str, language: str) -> None:
    assert Staff(superuser=True).get("mail_preview", event_type, language).status_code == 404


def test_the_pages_around_the_emails_are_korean_too() -> None:
    staff = Staff(superuser=True)
    staff.client.defaults["HTTP_ACCEPT_LANGUAGE"] = "ko"
    assert "예시 데이터" in staff.get("mail_previews").content.decode()
    page = staff.get("mail_preview", "order-cancelled", "ko").content.decode()
    assert "제목" in page
    assert "텍스트" in page
