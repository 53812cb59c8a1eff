"""The content of e-mails in each language, and their pages in the back-office."""

import re

import pytest
from pytest_django import Settings

from commerce.mail.emails import email_content, email_types, languages, message_id
from commerce.mail.samples import sample

EMAILS = [(event_type, language) for event_type in email_types() for language in languages()]
HANGUL = re.compile("[가-힣]")


@pytest.mark.parametrize(("event_type", "language"), EMAILS)
def test_every_event_has_an_email_in_every_language(event_type: str, language: str) -> None:
    content = email_content(sample(event_type), language=language)
    assert content.subject
    assert "\n" not in content.subject
    assert content.subject in content.html.replace("&quot;", '"')
    for text in (content.text, content.html):
        assert "{{" not in text
        assert "{%" not in text
        assert "None" not in text
    assert f'<html lang="{language}">' in content.html
    assert bool(HANGUL.search(content.text.replace("무선 마우스", "").replace("할인", ""))) == (language == "ko")


def test_the_amounts_add_up() -> None:
    content = email_content(sample("order-completed"), language="en")
    assert "Total: ₩38,600\nCoupon discount: -₩3,860\nPaid from your balance: ₩34,740\n" in content.text
    korean = email_content(sample("order-cancelled"), language="ko")
    assert "합계: 38,600원\n쿠폰 할인: -3,860원\n잔액으로 환불: 34,740원\n" in korean.text


def test_times_are_in_the_shops_zone() -> None:
    event = sample("order-completed")
    event["data"] = {**event["data"], "createdAt": "2026-01-01T00:30:00+00:00"}
    assert "1 January 2026, 09:30" in email_content(event, language="en").text


def test_user_input_is_escaped() -> None:
    event = sample("order-completed")
    line = {**event["data"]["items"][0], "productName": '<b onclick=x>& "cable"'}
    event["data"] = {**event["data"], "items": [line]}
    content = email_content(event, language="en")
    assert "<b onclick" not in content.html
    assert '<b onclick=x>& "cable"' in content.text


def test_a_subject_is_one_line() -> None:
    event = sample("coupon-expiring")
    event["data"] = {**event["data"], "name": "Ten percent\r\nBcc: everybody@example.com"}
    content = email_content(event, language="en")
    assert "Bcc" not in content.subject.partition("\n")[2]
    assert "\n" not in content.subject
    assert "\r" not in content.subject


def test_a_message_id_has_no_colon(settings: Settings) -> None:
    assert re.fullmatch(r"<order-completed\.7\.1@[^@<> ]+>", message_id("order-completed:7:1"))
