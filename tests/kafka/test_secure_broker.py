"""The shop with a broker that requires TLS, a password (SASL) and a client certificate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from django.conf import settings as configured

from commerce.outbox.routes import KAFKA
from commerce.outbox.sinks.kafka import client_settings
from stats.models import ProcessedEvent
from tests.certificates import STRANGER, Certificates
from tests.factories import ProductFactory, UserFactory
from tests.kafka.jars import kafka_jars
from tests.kafka.node import Node
from tests.kafka.sales import assert_exact, sell
from tests.kafka.security import Security
from tests.outbox.conftest import waiting
from tests.outbox.manage import managed, run
from tests.security.test_key_rotation import read
from tests.together import wait_until

if TYPE_CHECKING:
    from pytest_django import Settings

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def security(tmp_path_factory: pytest.TempPathFactory) -> Security:
    return Security(Certificates(tmp_path_factory.mktemp("certificates")))


@pytest.fixture(scope="module")
def secure_node(tmp_path_factory: pytest.TempPathFactory, security: Security) -> Iterator[Node]:
    client = read(security.environment())["KAFKA_SECURITY"]
    node = Node(
        tmp_path_factory.mktemp("secure-kafka"),
        jars=kafka_jars(),
        listener="SASL_SSL",
        properties=security.of_the_broker(),
        client=client,
        users={"shop": security.password},
    )
    try:
        node.start()
        yield node
    finally:
        node.stop()


@pytest.fixture
def environment(secure_node: Node, security: Security) -> dict[str, str]:
    """The settings of a process with access to the broker."""
    return {
        **security.environment(),
        "KAFKA_BOOTSTRAP_SERVERS": secure_node.bootstrap_servers,
        "KAFKA_CONSUMER_GROUP": str(configured.KAFKA_CONSUMER_GROUP),
    }


def test_events_go_from_the_dispatcher_to_the_consumer(environment: dict[str, str]) -> None:
    made = run("create_topics", environment=environment)
    assert (made.returncode, made.stdout.count(": made")) == (0, 5), made.stderr
    users, products = [UserFactory() for _ in range(4)], [ProductFactory(price=price) for price in (1_000, 2_000)]
    events = sell(40, users=users, products=products)
    with (
        managed("relay_outbox", environment=environment) as relay,
        managed("consume_orders", environment=environment) as consumer,
    ):
        wait_until(lambda: not waiting(KAFKA), "every event to leave")
        wait_until(lambda: ProcessedEvent.objects.count() == events, "every order to be counted")
        assert [relay.stop(), consumer.stop()] == [0, 0]
    assert_exact()


def errors_of(settings: Settings, node: Node, variables: Mapping[str, str]) -> list[int]:
    """The error codes of the client library with these settings, until the broker has answered or there is an error."""
    known = read(variables)
    settings.KAFKA_SECURITY = known["KAFKA_SECURITY"]
    settings.KAFKA_BOOTSTRAP_SERVERS = node.bootstrap_servers
    codes: list[int] = []
    answered: list[bool] = []

    def has_an_answer() -> bool:
        if client.poll(0.1) == 0 and not codes:
            answered.extend([True] * bool(_brokers(client)))
        return bool(codes or answered)

    configuration: dict[str, Any] = {**client_settings(), "log_level": 0}
    configuration["error_cb"] = lambda error: codes.append(error.code())
    client = AdminClient(configuration)
    wait_until(has_an_answer, "the client to say something")
    return codes


def _brokers(client: AdminClient) -> int:
    try:
        return len(client.list_topics(timeout=1.0).brokers)
    except KafkaException:
        return 0


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-512", "PLAIN"])
def test_both_ways_to_send_a_password_are_accepted(
    settings: Settings, secure_node: Node, security: Security, mechanism: str
) -> None:
    assert errors_of(settings, secure_node, security.environment(mechanism)) == []


def without_certificate(variables: Mapping[str, str]) -> dict[str, str]:
    of_the_client = ("KAFKA_SSL_CERTIFICATE_LOCATION", "KAFKA_SSL_KEY_LOCATION", "KAFKA_SSL_KEY_PASSWORD")
    return {name: value for name, value in variables.items() if name not in of_the_client}


def test_a_wrong_password_is_refused(settings: Settings, secure_node: Node, security: Security) -> None:
    variables = {**security.environment(), "KAFKA_SASL_PASSWORD": "another-password"}
    assert KafkaError._AUTHENTICATION in errors_of(settings, secure_node, variables)


def test_a_broker_of_another_authority_is_not_believed(
    settings: Settings, secure_node: Node, security: Security
) -> None:
    assert KafkaError._SSL in errors_of(settings, secure_node, security.environment(authority=STRANGER))


@pytest.mark.parametrize("protocol", ["certificate", "tls"])
def test_a_client_without_certificate_or_without_tls_is_refused(
    settings: Settings, secure_node: Node, security: Security, protocol: str
) -> None:
    """The controls: the broker requires both."""
    variables = without_certificate(security.environment())
    if protocol == "tls":
        variables |= {"KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT", "KAFKA_SSL_CA_LOCATION": ""}
    assert errors_of(settings, secure_node, variables) != []
