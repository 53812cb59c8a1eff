"""A call to a webhook receiver: signature, limits of time and size, allowed addresses."""

import socket
import time
from collections.abc import Callable
from ipaddress import ip_network
from typing import Any

import pytest
from pytest_django import Settings
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from commerce.outbox.sinks.base import Acknowledged, Endpoint, Failure, Message, Outcome
from commerce.outbox.sinks.webhooks import FORBIDDEN, WebhookSink, new_secret
from tests.certificates import AUTHORITY, STRANGER, Certificates
from tests.webhooks import receiver as behaviours
from tests.webhooks.receiver import Receiver, receiver_at_work, respond_with

SECRET = new_secret()
# Long enough for a busy machine, shorter than without a deadline.
SLACK_SECONDS = 5.0


def message(url: str, number: int = 1, *, secrets: tuple[str, ...] = (SECRET,)) -> Message:
    event_id = f"order-completed:{number}:1767225600123456"
    payload = f'{{"id": "{event_id}", "who": "민아"}}'.encode()
    return Message(number, event_id, "order-completed", "7", payload, 0, endpoint=Endpoint(url, secrets))


def outcome_of(url: str, **more: Any) -> Outcome:
    [outcome] = WebhookSink().deliver([message(url, **more)]).values()
    return outcome


def failure_of(url: str) -> Failure:
    failure = outcome_of(url)
    assert isinstance(failure, Failure)
    return failure


class TestSignature:
    """Verified by the package of Standard Webhooks."""

    def test_a_call_is_verified_by_another_implementation(self, receiver: Receiver) -> None:
        assert isinstance(outcome_of(receiver.url), Acknowledged)
        [delivery] = receiver.deliveries
        assert delivery.event(SECRET)["who"] == "민아"
        assert delivery.id == "order-completed:1:1767225600123456"
        assert abs(int(delivery.headers["webhook-timestamp"]) - time.time()) < 60
        assert delivery.headers["content-type"] == "application/json"
        assert delivery.path == "/hooks"

    def test_another_secret_body_or_id_fails_the_verification(self, receiver: Receiver) -> None:
        outcome_of(receiver.url)
        [delivery] = receiver.deliveries
        with pytest.raises(WebhookVerificationError):
            delivery.event(new_secret())
        with pytest.raises(WebhookVerificationError):
            Webhook(SECRET).verify(delivery.body + b" ", delivery.headers)
        with pytest.raises(WebhookVerificationError):
            Webhook(SECRET).verify(delivery.body, delivery.headers | {"webhook-id": "order-completed:2"})

    def test_during_an_overlap_both_secrets_verify(self, receiver: Receiver) -> None:
        new, old = new_secret(), new_secret()
        outcome_of(receiver.url, secrets=(new, old))
        [delivery] = receiver.deliveries
        assert len(delivery.headers["webhook-signature"].split(" ")) == 2
        assert delivery.event(new) == delivery.event(old)
        with pytest.raises(WebhookVerificationError):
            delivery.event(new_secret())

    def test_a_secret_conforms_to_the_standard(self) -> None:
        assert SECRET.startswith("whsec_")
        assert len({new_secret() for _ in range(50)}) == 50
        assert Webhook(SECRET)._whsecret != b""
        assert 24 <= len(Webhook(SECRET)._whsecret) <= 64


class TestAnswers:
    """Outcomes of responses."""

    @pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
    def test_any_2xx_is_an_acknowledgement(self, receiver: Receiver, status: int) -> None:
        receiver.answer = respond_with(status, b"" if status == 204 else b"ok")
        assert isinstance(outcome_of(receiver.url), Acknowledged)

    @pytest.mark.parametrize("status", [301, 302, 307, 308])
    def test_a_redirect_is_not_followed(
        self, receiver: Receiver, receivers: Callable[[], Receiver], status: int
    ) -> None:
        elsewhere = receivers()
        receiver.answer = respond_with(status, Location=elsewhere.url)
        failure = failure_of(receiver.url)
        assert failure.unavailable
        assert failure.reason.startswith(f"HTTP {status}")
        assert elsewhere.connections == 0

    @pytest.mark.parametrize(
        ("status", "about_message"), [(400, True), (422, True), (401, False), (404, False), (500, False)]
    )
    def test_a_refusal_is_about_the_message_or_the_receiver(
        self, receiver: Receiver, status: int, about_message: bool
    ) -> None:
        receiver.answer = respond_with(status, b"because")
        failure = failure_of(receiver.url)
        assert (failure.about_message, failure.unavailable) == (about_message, not about_message)
        assert failure.reason == f"HTTP {status}: because"
        assert not failure.refused

    def test_410_and_retry_after_are_read(self, receiver: Receiver) -> None:
        receiver.answer = respond_with(410)
        assert failure_of(receiver.url).gone
        receiver.answer = respond_with(429, Retry_After="7")
        assert failure_of(receiver.url).retry_after_seconds == 7.0

    @pytest.mark.parametrize("status", [200, 500])
    def test_a_huge_answer_is_not_read(self, receiver: Receiver, status: int) -> None:
        receiver.answer = behaviours.send_endless_body(receiver, status=status)
        began = time.monotonic()
        outcome = outcome_of(receiver.url)
        assert time.monotonic() - began < SLACK_SECONDS
        if status == 200:
            assert isinstance(outcome, Acknowledged)
        else:
            assert isinstance(outcome, Failure)
            assert outcome.reason == "HTTP 500: " + "x" * 300

    @pytest.mark.parametrize("behaviour", ["hangs", "hang_in_body", "send_endless_head"])
    def test_a_call_ends_in_time(self, receiver: Receiver, behaviour: str) -> None:
        receiver.answer = getattr(behaviours, behaviour)(receiver)
        began = time.monotonic()
        failure = failure_of(receiver.url)
        assert 0.9 <= time.monotonic() - began < SLACK_SECONDS
        assert failure.unavailable

    @pytest.mark.parametrize("behaviour", ["resets", "closes", "send_invalid_http"])
    def test_no_answer_is_no_acknowledgement(self, receiver: Receiver, behaviour: str) -> None:
        receiver.answer = getattr(behaviours, behaviour)
        failure = failure_of(receiver.url)
        assert failure.unavailable
        assert failure.call is not None
        assert failure.call.http_status is None

    def test_a_refused_connection_is_a_failure(self, closed_port: int) -> None:
        assert failure_of(f"http://127.0.0.1:{closed_port}/").unavailable

    def test_several_messages_share_a_connection(self, receiver: Receiver) -> None:
        outcomes = WebhookSink().deliver([message(receiver.url, number) for number in range(1, 6)])
        assert all(isinstance(outcome, Acknowledged) for outcome in outcomes.values())
        assert len(set(receiver.ids)) == 5
        assert receiver.connections == 1

    def test_a_closed_connection_is_reopened(self, receiver: Receiver) -> None:
        def once(connection: socket.socket) -> bool:
            respond_with(200, Connection="close")(connection)
            return False

        receiver.answer = once
        outcomes = WebhookSink().deliver([message(receiver.url, number) for number in range(1, 4)])
        assert all(isinstance(outcome, Acknowledged) for outcome in outcomes.values())
        assert receiver.connections == 3

    def test_after_a_failure_the_rest_is_not_tried(self, receiver: Receiver) -> None:
        receiver.answer = respond_with(500)
        outcomes = WebhookSink().deliver([message(receiver.url, number) for number in range(1, 4)])
        assert list(outcomes) == [1]

    def test_a_refused_message_does_not_stop_the_others(self, receiver: Receiver) -> None:
        def refuses_the_first(connection: socket.socket) -> bool:
            return respond_with(400 if receiver.ids[-1].split(":")[1] == "1" else 200)(connection)

        receiver.answer = refuses_the_first
        outcomes = WebhookSink().deliver([message(receiver.url, number) for number in range(1, 4)])
        assert [isinstance(outcome, Acknowledged) for outcome in outcomes.values()] == [False, True, True]


class TestTls:
    """https with verification of the certificate and host name."""

    @pytest.fixture(scope="class")
    @staticmethod
    def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
        made = Certificates(tmp_path_factory.mktemp("certificates"))
        made.issue("partner")
        made.issue("named", dns="partner.example")
        return made

    def test_a_certificate_of_a_known_authority_is_accepted(
        self, certificates: Certificates, settings: Settings
    ) -> None:
        settings.WEBHOOK_CA_FILE = certificates.path(AUTHORITY)
        settings.WEBHOOK_ALLOW_HTTP = False
        with receiver_at_work(tls=(certificates.path("partner.pem"), certificates.path("partner.key"))) as receiver:
            assert isinstance(outcome_of(receiver.url), Acknowledged)
            [delivery] = receiver.deliveries
            assert delivery.event(SECRET)["who"] == "민아"

    def test_the_certificate_is_verified_for_the_name(
        self, certificates: Certificates, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settings.WEBHOOK_CA_FILE = certificates.path(AUTHORITY)
        leads_to(monkeypatch, "127.0.0.1")
        with receiver_at_work(tls=(certificates.path("named.pem"), certificates.path("named.key"))) as receiver:
            outcome = outcome_of(f"https://partner.example:{receiver.port}/hooks")
            assert isinstance(outcome, Acknowledged), outcome
            assert receiver.deliveries[0].headers["host"] == f"partner.example:{receiver.port}"
            other = failure_of(f"https://other.example:{receiver.port}/hooks")
            assert "certificate" in other.reason.lower()
            assert len(receiver.deliveries) == 1

    def test_one_of_an_unknown_authority_is_refused(self, certificates: Certificates, settings: Settings) -> None:
        settings.WEBHOOK_CA_FILE = certificates.path(STRANGER)
        with receiver_at_work(tls=(certificates.path("partner.pem"), certificates.path("partner.key"))) as receiver:
            failure = failure_of(receiver.url)
            assert failure.unavailable
            assert "certificate" in failure.reason.lower()
            assert receiver.deliveries == []


def leads_to(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> list[str]:
    """Replace name resolution with these addresses, the next one for each lookup; returns the resolved names."""
    asked: list[str] = []

    def getaddrinfo(host: str, port: int, *_args: object, **_more: object) -> list[Any]:
        asked.append(host)
        answers = addresses[min(len(asked), len(addresses)) - 1].split(" ")
        families = [socket.AF_INET6 if ":" in address else socket.AF_INET for address in answers]
        return [
            (family, socket.SOCK_STREAM, 6, "", (address, port))
            for family, address in zip(families, answers, strict=True)
        ]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


class TestWhereCallsGo:
    """Calls to private networks are refused."""

    def test_by_default_the_loopback_is_refused(self, receiver: Receiver, settings: Settings) -> None:
        settings.WEBHOOK_ALLOWED_NETWORKS = []
        failure = failure_of(receiver.url)
        assert "private" in failure.reason
        assert receiver.connections == 0

    @pytest.mark.parametrize(
        "address",
        ["127.0.0.1", "10.0.0.8", "169.254.169.254", "::1", "::ffff:127.0.0.1", "fe80::1", "8.8.8.8 127.0.0.1"],
    )
    def test_a_name_that_resolves_to_it_is_refused(
        self, receiver: Receiver, settings: Settings, monkeypatch: pytest.MonkeyPatch, address: str
    ) -> None:
        settings.WEBHOOK_ALLOWED_NETWORKS = []
        leads_to(monkeypatch, address)
        failure = failure_of(f"http://partner.example:{receiver.port}/")
        assert failure.reason == FORBIDDEN
        assert failure.unavailable
        assert receiver.connections == 0

    def test_a_name_is_resolved_once_per_call(
        self, receiver: Receiver, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A second, unchecked resolution could return another address (DNS rebinding)."""
        settings.WEBHOOK_ALLOWED_NETWORKS = [ip_network("127.0.0.1/32")]
        asked = leads_to(monkeypatch, "127.0.0.1", "127.0.0.2")
        assert isinstance(outcome_of(f"http://partner.example:{receiver.port}/hooks"), Acknowledged)
        assert asked == ["partner.example"]
        failure = failure_of(f"http://partner.example:{receiver.port}/hooks")
        assert failure.reason == FORBIDDEN

    def test_control_without_the_check_a_rebound_name_is_called(
        self, receiver: Receiver, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The control: without the check the private address is called."""
        settings.WEBHOOK_ALLOWED_NETWORKS = []
        leads_to(monkeypatch, "127.0.0.1")
        monkeypatch.setattr("commerce.outbox.sinks.addresses.is_allowed", lambda _address: True)
        assert isinstance(outcome_of(f"http://partner.example:{receiver.port}/hooks"), Acknowledged)
        assert receiver.connections == 1

    def test_a_proxy_of_the_environment_is_not_used(
        self, receiver: Receiver, receivers: Callable[[], Receiver], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        proxy = receivers()
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        assert isinstance(outcome_of(receiver.url), Acknowledged)
        assert proxy.connections == 0

    def test_https_is_required_at_the_call_too(self, receiver: Receiver, settings: Settings) -> None:
        settings.WEBHOOK_ALLOW_HTTP = False
        assert "https" in failure_of(receiver.url).reason
        assert receiver.connections == 0

    def test_after_an_unresponsive_address_the_next_is_tried(
        self, receiver: Receiver, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settings.WEBHOOK_ALLOWED_NETWORKS = [ip_network("127.0.0.0/8")]
        leads_to(monkeypatch, "127.9.9.9 127.0.0.1")
        # The first address refuses connections, so the next one is used.
        assert isinstance(outcome_of(f"http://partner.example:{receiver.port}/hooks"), Acknowledged)
