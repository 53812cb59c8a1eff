"""Sending e-mails to a real SMTP server: outcomes and time limits."""

import logging
import socket
import threading
import time
from pathlib import Path

import pytest
from pytest_django import Settings

from commerce.embedded.ports import LOOPBACK
from commerce.idempotency.commit import Idempotency
from commerce.mail.sink import NO_ADDRESS, MailSink
from commerce.outbox.dispatcher import Dispatcher
from commerce.outbox.models import DeliveryAttempt, OutboxMessage
from commerce.outbox.resend import retry_parked, send_again
from commerce.outbox.routes import MAIL
from commerce.outbox.sinks.base import Failure, Message
from orders.models import Order
from orders.services import cancel_order, place_order
from tests.certificates import AUTHORITY, STRANGER, Certificates
from tests.factories import ProductFactory, UserFactory
from tests.mail.mailbox import Mailbox, mailbox_at_work

pytestmark = pytest.mark.django_db(transaction=True)

ADDRESS = "mina@customer.example"


def order(address: str = ADDRESS) -> Order:
    user = UserFactory(balance=100_000, email=address)
    product = ProductFactory(name="무선 마우스", price=15_900, stock=10)
    placed = place_order(
        user_id=user.pk, quantities={product.pk: 2}, user_coupon_id=None, idempotency=Idempotency.none()
    )
    return Order.objects.get(pk=placed.id)


def waiting() -> OutboxMessage:
    return OutboxMessage.objects.get(destination=MAIL)


def test_an_order_and_its_refund_send_emails(mailbox: Mailbox) -> None:
    placed = order()
    cancel_order(order_id=placed.pk, owner_id=placed.user_id, idempotency=Idempotency.none())
    assert Dispatcher(MAIL).drain().sent == 2
    assert mailbox.recipients == [ADDRESS, ADDRESS]
    assert mailbox.sessions == 1
    first, second = mailbox.messages
    assert first["Subject"] == f"Your order {placed.pk}"
    assert second["Subject"] == f"Your order {placed.pk} was cancelled"
    assert first["From"] == "Shop <orders@shop.example>"
    assert first["Auto-Submitted"] == "auto-generated"
    text, html = first.get_body(("plain",)), first.get_body(("html",))
    assert text is not None
    assert html is not None
    assert "무선 마우스 × 2: ₩31,800" in text.get_content()
    assert "₩31,800" in html.get_content()
    assert OutboxMessage.objects.filter(destination=MAIL, sent_at=None).count() == 0


def test_an_email_is_in_the_shops_language(mailbox: Mailbox, settings: Settings) -> None:
    settings.EMAIL_LANGUAGE = "ko"
    placed = order()
    Dispatcher(MAIL).drain()
    [message] = mailbox.messages
    assert message["Subject"].strip() == f"주문이 완료되었습니다 (주문 번호 {placed.pk})"
    assert message["Content-Language"] == "ko"


def test_a_repeated_delivery_has_the_same_message_id(mailbox: Mailbox) -> None:
    order()
    message = waiting()
    Dispatcher(MAIL).drain()
    assert send_again([message.pk], by=None) == [MAIL]
    Dispatcher(MAIL).drain()
    assert mailbox.message_ids == [f"<{message.event_id.replace(':', '.')}@shop.example>"] * 2


def test_without_an_address_the_message_is_done_with_a_note(mailbox: Mailbox) -> None:
    order(address="")
    assert Dispatcher(MAIL).drain().sent == 1
    assert mailbox.messages == []
    assert DeliveryAttempt.objects.get().error == NO_ADDRESS
    assert waiting().sent_at is not None


def test_an_invalid_address_is_parked(mailbox: Mailbox) -> None:
    order(address="mina\n@customer.example")
    Dispatcher(MAIL).drain()
    assert waiting().parked_at is not None
    assert mailbox.sessions == 0


def test_without_a_server_no_message_is_written(settings: Settings) -> None:
    settings.EMAIL_HOST = ""
    order()
    assert not OutboxMessage.objects.filter(destination=MAIL).exists()


@pytest.mark.parametrize("answer", ["550 5.1.1 <mina@customer.example> unknown", "552 5.2.2 mailbox full"])
def test_a_permanently_refused_recipient_is_parked(
    mailbox: Mailbox, answer: str, caplog: pytest.LogCaptureFixture
) -> None:
    mailbox.refuse_recipient = answer
    order()
    with caplog.at_level(logging.DEBUG):
        Dispatcher(MAIL).drain()
    message = waiting()
    assert message.parked_at is not None
    assert message.last_error == f"The recipient was refused: {answer[:9]}"
    logged = "\n".join(record.getMessage() for record in caplog.records if record.name != "mail.log")
    assert message.event_id in logged
    assert "customer.example" not in logged
    attempt = DeliveryAttempt.objects.get()
    assert (attempt.http_status, "customer" in attempt.error) == (int(answer[:3]), False)
    mailbox.refuse_recipient = ""
    assert retry_parked(destination=MAIL) == 1
    Dispatcher(MAIL).drain()
    assert len(mailbox.messages) == 1


def test_a_temporarily_refused_email_is_sent_later(mailbox: Mailbox) -> None:
    mailbox.refuse_message = "451 4.7.1 greylisted"
    order()
    Dispatcher(MAIL).drain()
    message = waiting()
    assert (message.parked_at, message.attempts) == (None, 1)
    assert message.last_error == "The message was refused: 451 4.7.1"
    mailbox.refuse_message = ""
    OutboxMessage.objects.update(next_attempt_at=message.created_at)
    Dispatcher(MAIL).drain()
    assert len(mailbox.messages) == 1


def test_an_unavailable_server_costs_one_attempt_and_parks_none(settings: Settings) -> None:
    for _ in range(3):
        order()
    OutboxMessage.objects.filter(destination=MAIL).update(attempts=settings.OUTBOX_MAX_ATTEMPTS + 5)
    Dispatcher(MAIL).drain()
    messages = OutboxMessage.objects.filter(destination=MAIL).order_by("id")
    charged = [message.attempts - settings.OUTBOX_MAX_ATTEMPTS - 5 for message in messages]
    assert charged == [1, 0, 0]
    assert [message.parked_at for message in messages] == [None] * 3
    assert messages[0].last_error.startswith("ConnectionRefusedError")


def test_a_hanging_server_is_left_at_the_deadline(mailbox: Mailbox, settings: Settings) -> None:
    settings.EMAIL_TIMEOUT = 0.5
    mailbox.hangs = True
    order()
    began = time.monotonic()
    Dispatcher(MAIL).drain()
    assert time.monotonic() - began < 5.0
    assert waiting().last_error == "No answer in time"


def test_a_dripping_server_is_left_at_the_deadline(settings: Settings) -> None:
    """Each byte would reset the timeout of the socket."""
    settings.EMAIL_TIMEOUT = 1.0
    with socket.create_server((LOOPBACK, 0)) as server:
        settings.EMAIL_PORT = server.getsockname()[1]
        order()
        outcomes = []
        began = time.monotonic()

        def drip() -> None:
            client, _address = server.accept()
            with client:
                try:
                    while time.monotonic() - began < 10.0:
                        client.sendall(b"2")
                        time.sleep(0.1)
                except OSError:
                    outcomes.append("hung up")

        dripping = threading.Thread(target=drip)
        dripping.start()
        Dispatcher(MAIL).drain()
        assert time.monotonic() - began < 5.0
        dripping.join(15.0)
    assert outcomes == ["hung up"]
    assert waiting().last_error == "No answer in time"


def test_a_stuck_session_does_not_block_others(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    """Name resolution has no timeout of its own."""
    settings.EMAIL_TIMEOUT = 0.2
    found = threading.Event()
    monkeypatch.setattr(socket, "create_connection", lambda *_args, **_more: found.wait(20.0))
    placed = order()
    message = waiting()
    sink = MailSink()
    order_message = Message(
        message.pk, message.event_id, message.type, str(placed.user_id), message.payload.encode(), 0
    )
    try:
        outcome = sink.deliver([order_message])[message.pk]
        assert isinstance(outcome, Failure)
        assert outcome.unavailable
        assert sink.deliver([order_message]) == {}
    finally:
        found.set()


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    certificates = Certificates(tmp_path)
    certificates.issue("mail")
    return certificates


@pytest.mark.parametrize("implicit", [False, True])
def test_over_tls_with_a_password(certificates: Certificates, settings: Settings, implicit: bool) -> None:
    settings.EMAIL_USE_TLS, settings.EMAIL_USE_SSL = not implicit, implicit
    settings.EMAIL_CA_FILE = certificates.path(AUTHORITY)
    settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD = "shop", "right"
    files = certificates.path("mail.pem"), certificates.path("mail.key")
    with mailbox_at_work(certificate=files, implicit=implicit) as mailbox:
        settings.EMAIL_PORT = mailbox.port
        order()
        Dispatcher(MAIL).drain()
        assert mailbox.logins == [("shop", "right")]
        assert mailbox.was_tls == [True]


def test_a_certificate_of_an_unknown_authority_is_refused(certificates: Certificates, settings: Settings) -> None:
    settings.EMAIL_USE_TLS = True
    settings.EMAIL_CA_FILE = certificates.path(STRANGER)
    files = certificates.path("mail.pem"), certificates.path("mail.key")
    with mailbox_at_work(certificate=files) as mailbox:
        settings.EMAIL_PORT = mailbox.port
        order()
        Dispatcher(MAIL).drain()
        assert (mailbox.logins, mailbox.messages) == ([], [])
    assert waiting().last_error.startswith("SSLCertVerificationError")


def test_a_wrong_password_is_reported_without_it(certificates: Certificates, settings: Settings) -> None:
    settings.EMAIL_USE_TLS = True
    settings.EMAIL_CA_FILE = certificates.path(AUTHORITY)
    settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD = "shop", "wrong"
    files = certificates.path("mail.pem"), certificates.path("mail.key")
    with mailbox_at_work(certificate=files) as mailbox:
        settings.EMAIL_PORT = mailbox.port
        order()
        Dispatcher(MAIL).drain()
    assert waiting().last_error == "SMTPAuthenticationError: 535 5.7.8"
    assert waiting().parked_at is None
