"""Lag and throughput of the consumers: as the process reports them, and as the cluster knows them."""

from __future__ import annotations

import json
import logging
import re
from io import StringIO
from threading import Event
from typing import TYPE_CHECKING
from urllib.request import urlopen

import pytest
from django.conf import settings as configured
from django.core.management import CommandError, call_command
from prometheus_client import REGISTRY
from pytest_django import Settings

from commerce.outbox.sinks import kafka_source
from commerce.outbox.sinks.kafka_source import KafkaSource, PartitionLag, Received
from stats import consumers
from stats.consumers import Progress
from stats.events import ORDER_EVENTS
from stats.models import ProcessedEvent
from stats.tests.conftest import send, sent_payloads, source, take, units_counted
from tests.factories import order_of
from tests.outbox.manage import managed, run
from tests.together import meanwhile, wait_until

if TYPE_CHECKING:
    from balances.models import User
    from products.models import Product

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("own_topics")]

TOPIC = "order-completed"


def printed_lag(*arguments: str) -> list[str]:
    out = StringIO()
    call_command("stats_lag", *arguments, stdout=out)
    return out.getvalue().splitlines()


def lags() -> dict[tuple[str, int], tuple[int | None, int, int]]:
    """Committed offset, end and lag of every non-empty partition."""
    [line] = printed_lag("--json")
    report = json.loads(line)
    assert report["group"] == configured.KAFKA_CONSUMER_GROUP
    assert report["lag"] == sum(each["lag"] for each in report["partitions"])
    prefix = configured.KAFKA_TOPIC_PREFIX
    return {
        (each["topic"].removeprefix(prefix), each["partition"]): (each["committed"], each["end"], each["lag"])
        for each in report["partitions"]
        if each["end"]
    }


class TestCommand:
    """`manage.py stats_lag`: committed offset, end and lag of every partition."""

    def test_it_shows_the_lag_before_and_after_counting(self) -> None:
        send(*[b"event"] * 5)
        [(place, before)] = lags().items()
        assert before == (None, 5, 5)
        with source() as reading:
            reading.settle(take(reading, 3))
            wait_until(lambda: lags() == {place: (3, 5, 2)}, "the commit")
            reading.settle(take(reading, 2))
            wait_until(lambda: lags() == {place: (5, 5, 0)}, "the commit of the rest")

    def test_an_offset_beyond_the_end_means_the_whole_partition_lags(self) -> None:
        """A recreated topic ends before the committed offset."""
        send(*[b"event"] * 2)
        [(topic, partition)] = lags()
        with source() as reading:
            take(reading, 2)
            name = f"{configured.KAFKA_TOPIC_PREFIX}{topic}"
            reading.settle([Received(name, partition, 899, b"of the topic that was")])
            wait_until(lambda: lags() == {(topic, partition): (900, 2, 2)}, "the commit")

    def test_it_prints_a_table_without_json(self) -> None:
        send(*[b"event"] * 2)
        [(_, partition)] = lags()
        topic = f"{configured.KAFKA_TOPIC_PREFIX}{TOPIC}"
        lines = printed_lag()
        assert lines[0].split() == ["topic", "partition", "committed", "end", "lag"]
        assert [topic, str(partition), "-", "2", "2"] in [line.split() for line in lines]
        assert lines[-1] == f"{configured.KAFKA_CONSUMER_GROUP} is 2 behind"

    def test_without_topics_the_lag_is_zero(self) -> None:
        [line] = printed_lag("--json")
        assert json.loads(line) == {"group": configured.KAFKA_CONSUMER_GROUP, "lag": 0, "partitions": []}

    def test_without_kafka_it_says_so(
        self, settings: Settings, closed_port: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(kafka_source, "ANSWER_SECONDS", 0.2)
        settings.KAFKA_BOOTSTRAP_SERVERS = f"127.0.0.1:{closed_port}"
        with pytest.raises(CommandError, match=f"Kafka does not answer at 127.0.0.1:{closed_port}"):
            printed_lag()


class TestProgress:
    """The consumer's own reports."""

    def gauge(self, lag: PartitionLag) -> float | None:
        labels = {"topic": lag.topic, "partition": str(lag.partition)}
        return REGISTRY.get_sample_value("commerce_stats_lag", labels)

    def test_lag_and_rate_are_logged_while_there_is_work(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO, logger="stats.consumers")
        group = configured.KAFKA_CONSUMER_GROUP
        send(*[b"event"] * 5)
        with source() as reading:
            progress = Progress(reading, group=group, every_seconds=0.0)
            progress.report()
            assert caplog.messages == []
            reading.settle(take(reading, 3))
            progress.went_through(3)
            progress.report()
            [behind] = reading.lag()
            assert (behind.committed, behind.end, behind.lag) == (3, 5, 2)
            assert self.gauge(behind) == 2
            assert re.fullmatch(
                rf"3 messages in \d+\.\d s \(\d+/s\), {behind.topic}\[{behind.partition}\] 2", caplog.messages[0]
            )
            reading.settle(take(reading, 2))
            progress.went_through(2)
            progress.report()
            assert self.gauge(behind) == 0
            assert caplog.messages[1].endswith(", none waiting")
            progress.report()
            assert len(caplog.messages) == 2
            assert REGISTRY.get_sample_value("commerce_stats_messages_per_second", {"group": group}) == 0

    def test_nothing_is_reported_before_the_interval(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO, logger="stats.consumers")
        with source() as reading:
            progress = Progress(reading, group="early", every_seconds=3_600.0)
            progress.went_through(3)
            progress.report()
        assert caplog.messages == []
        assert REGISTRY.get_sample_value("commerce_stats_messages_per_second", {"group": "early"}) is None

    def test_partitions_of_another_consumer_are_reported_as_0(self) -> None:
        send(*[b"event"] * 5)
        with source() as first:
            first.settle(take(first, 3))
            progress = Progress(first, group="leaving", every_seconds=0.0)
            progress.report()
            [behind] = first.lag()
            assert self.gauge(behind) == 2
            first._consumer.unsubscribe()
            wait_until(lambda: first.take(limit=1, wait_seconds=0.05) == [] and first.lag() == [], "the leave")
            progress.report()
            assert self.gauge(behind) == 0

    def test_the_process_serves_it_to_prometheus(self, user: User, pen: Product) -> None:
        environment = {"KAFKA_CONSUMER_GROUP": configured.KAFKA_CONSUMER_GROUP}
        arguments = ("consume_orders", "--metrics-port", "0", "--report-seconds", "0.1")
        order_of(user, {pen: 2})
        send(*sent_payloads(), b"{")
        with managed(*arguments, environment=environment) as consumer:
            wait_until(lambda: ProcessedEvent.objects.count() == 1, "the count")
            wait_until(lambda: consumer.printed("none waiting"), "the line")
            [address] = [line.split()[-1] for line in consumer.lines if line.startswith("Metrics at ")]
            with urlopen(address) as answer:  # noqa: S310  # an address that the process just printed
                page = answer.read().decode()
            assert consumer.stop() == 0
        assert 'commerce_stats_events_total{outcome="counted"} 1.0' in page
        assert 'commerce_stats_events_total{outcome="left_out"} 1.0' in page
        assert re.search(
            rf'commerce_stats_lag{{partition="\d+",topic="{configured.KAFKA_TOPIC_PREFIX}order-completed"}} 0.0', page
        )
        assert "commerce_stats_messages_per_second{" in page

    def test_a_port_in_use_ends_the_command(self, closed_port: int) -> None:
        done = run("consume_orders", "--metrics-port", str(closed_port))
        assert done.returncode == 1
        assert f"Metrics cannot be served on port {closed_port}" in done.stderr


def test_two_consumers_share_the_work_and_count_each_order_once(user: User, pen: Product) -> None:
    """They join one after the other, so partitions are reassigned while orders are counted."""
    for _ in range(6):
        order_of(user, {pen: 1})
    payloads = sent_payloads()
    stopping = Event()

    def consume() -> None:
        made = KafkaSource(group=configured.KAFKA_CONSUMER_GROUP, event_types=ORDER_EVENTS)
        try:
            consumers.consume_orders(made, stopping=stopping)
        finally:
            made.close()

    def all_done() -> bool:
        return all(lag == 0 for _, _, lag in lags().values())

    with meanwhile(consume) as first:
        try:
            send(*payloads[:2])
            wait_until(lambda: ProcessedEvent.objects.count() == 2, "the first consumer")
            with meanwhile(consume) as second:
                try:
                    for payload in payloads:
                        for key in ("1", "2", "3", "4"):
                            send(payload, key=key)
                    wait_until(lambda: ProcessedEvent.objects.count() == 6 and all_done(), "the topic to be read")
                finally:
                    stopping.set()
                second.result()
        finally:
            stopping.set()
        first.result()
    [units] = units_counted().values()
    assert units == 6
