"""The lines of events: the time from an order to its statistic, and the rates for backlogs.

The backlog itself is written by `backlog`.
"""

import http.client
import threading
import time
from collections.abc import Sequence
from dataclasses import replace

from benchmarks import lines_of_writes as writes
from benchmarks import wrk
from benchmarks.backlog import write_orders
from benchmarks.bench import Bench
from benchmarks.books import number
from benchmarks.errors import BenchmarkFailed, WrongAnswer
from benchmarks.figures import percentile
from benchmarks.line import Goal, Line
from benchmarks.sample import Sample
from benchmarks.servers import TIME_ZONE
from benchmarks.tokens import TokenMint

_CONNECTIONS = 16
_LEAST_SECONDS = 2.0
_PROBE_SECONDS = 0.05
_POLL_SECONDS = 0.005
_PATIENCE_SECONDS = 60.0
# As many as the embedded broker stores in memory.
_BACKLOG, _QUICK_BACKLOG = 15_000, 3_000
_COUNTED = """
    SELECT coalesce(sum(quantity_sold), 0) FROM product_stat WHERE product_id = %(product)s
"""
# All messages of the first batch have the time of its end, so the rate is computed from there.
_DRAINED = """
    WITH sent AS (SELECT sent_at, count(*) AS messages FROM outbox_message WHERE id > %(message)s GROUP BY sent_at)
    SELECT (sum(messages) - (SELECT messages FROM sent ORDER BY sent_at LIMIT 1)) * 1000
               / greatest(extract(epoch FROM max(sent_at) - min(sent_at)), 0.001)
    FROM sent
"""
_CONSUMED = """
    WITH batch AS (
        SELECT processed_at, count(*) AS events FROM processed_event JOIN "order" AS purchase
            ON event_id = 'order-completed:' || purchase.id
                || ':' || trunc(extract(epoch FROM purchase.created_at) * 1000000)
        WHERE purchase.id >= %(order)s GROUP BY processed_at
    )
    SELECT (sum(events) - (SELECT events FROM batch ORDER BY processed_at DESC LIMIT 1)) * 1000
               / greatest(extract(epoch FROM max(processed_at) - min(processed_at)), 0.001)
    FROM batch
"""


class Probes:
    """Places single orders of the hot product at an interval, and measures when each is in the statistics."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._product = bench.sizes.hot_product
        self._token = TokenMint(bench.servers.signing_key).token(bench.sizes.customers)
        self._answered_at: list[float] = []
        self.waits_ms: list[float] = []
        self.failure: str | None = None
        self._before = number(bench.connection, _COUNTED, {"product": self._product})

    def place(self, until: float) -> None:
        """Place orders one after the other until this time."""
        connection = http.client.HTTPConnection("127.0.0.1", self._bench.shop.web.port, timeout=10)
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        body = f'{{"items":[{{"productId":{self._product},"quantity":1}}]}}'
        try:
            while time.monotonic() < until:
                connection.request("POST", "/api/orders", body=body, headers=headers)
                response = connection.getresponse()
                content = response.read()
                if response.status != 200:
                    self.failure = f"a probe was answered {response.status}: {content.decode()}"
                    return
                self._answered_at.append(time.monotonic())
                time.sleep(_PROBE_SECONDS)
        except OSError as error:
            self.failure = f"a probe was not answered: {error}"
        finally:
            connection.close()

    def watch(self, placing: threading.Thread) -> None:
        """Poll the statistics until all placed orders are included. Raises BenchmarkFailed after a minute."""
        deadline = None
        with self._bench.servers.connect() as connection:
            while placing.is_alive() or len(self.waits_ms) < len(self._answered_at):
                seen = number(connection, _COUNTED, {"product": self._product}) - self._before
                now = time.monotonic()
                for answered_at in self._answered_at[len(self.waits_ms) : seen]:
                    self.waits_ms.append((now - answered_at) * 1_000)
                if not placing.is_alive():
                    deadline = deadline or now + _PATIENCE_SECONDS
                    if now > deadline:
                        raise BenchmarkFailed("Orders are not in the statistics a minute after they were placed.")
                time.sleep(_POLL_SECONDS)


def order_to_statistic(bench: Bench) -> Sample:
    """The 95th percentile of the delay in ms, while orders are placed at half of the maximum rate."""
    key = "events:latency"
    top = writes.order_shop(bench, key=key, connections=_CONNECTIONS)
    seconds = max(bench.options.seconds, _LEAST_SECONDS)
    # Each connection waits before every request, so that it sends half of its maximum.
    settings = {
        "BENCH_PRODUCTS": str(bench.sizes.products),
        "BENCH_DELAY_MS": f"{_CONNECTIONS / top.value * 1_000:.3f}",
    }
    load = replace(bench.load(bench.shop.web.port, "order", _CONNECTIONS, settings), seconds=seconds)
    marks = bench.books.marks()
    probes = Probes(bench)
    placing = threading.Thread(target=probes.place, args=(time.monotonic() + seconds,))
    reports: list[wrk.Report] = []
    loading = threading.Thread(target=lambda: reports.append(wrk.run(load)))
    loading.start()
    placing.start()
    probes.watch(placing)
    loading.join()
    bench.books.wait_until_answered()
    settled = bench.books.wait_until_delivered(marks, seconds=_PATIENCE_SECONDS)
    if probes.failure or not reports or reports[0].failed:
        raise WrongAnswer(key, probes.failure or "orders of the load were not answered")
    waits = probes.waits_ms
    return Sample(
        value=percentile(waits, 95),
        p50_ms=percentile(waits, 50),
        p95_ms=percentile(waits, 95),
        p99_ms=percentile(waits, 99),
        requests=len(waits),
        notes={
            "orders_per_second": round(reports[0].rate, 1),
            "top_per_second": round(top.value, 1),
            "settled_seconds": round(settled, 2),
        },
    )


def drain(bench: Bench) -> Sample:
    """Messages per second from a backlog of the outbox to Kafka, two for each order."""
    orders = _backlog(bench)
    message = number(bench.connection, "SELECT coalesce(max(id), 0) FROM outbox_message")
    first = write_orders(bench.connection, orders=orders, products=bench.sizes.products, zone=TIME_ZONE)
    bench.books.wait_until_delivered({"order": first - 1}, seconds=_PATIENCE_SECONDS)
    rate = number(bench.connection, _DRAINED, {"message": message}) / 1_000
    return Sample(value=rate, requests=2 * orders)


def consume(bench: Bench) -> Sample:
    """Order events per second that the consumer counts from a backlog in Kafka."""
    orders = _backlog(bench)
    bench.shop.consumer.stop()
    try:
        first = write_orders(bench.connection, orders=orders, products=bench.sizes.products, zone=TIME_ZONE)
        _wait_until_sent(bench)
    finally:
        bench.shop.start_consumer()
    bench.books.wait_until_delivered({"order": first - 1}, seconds=_PATIENCE_SECONDS)
    rate = number(bench.connection, _CONSUMED, {"order": first}) / 1_000
    return Sample(value=rate, requests=orders)


def _backlog(bench: Bench) -> int:
    return _QUICK_BACKLOG if bench.options.quick else _BACKLOG


def _wait_until_sent(bench: Bench) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while bench.books.waiting():
        if time.monotonic() > deadline:
            raise BenchmarkFailed("The outbox is not empty a minute after a backlog was written.")
        time.sleep(_POLL_SECONDS * 10)


def lines() -> Sequence[Line]:
    return [
        Line(
            key="events:latency",
            title="order to statistic at half of the top rate: p95",
            unit="ms",
            ours=order_to_statistic,
            goal=Goal(value_at_most=1_000),
        ),
        Line(
            key="events:outbox",
            title="outbox drained from a backlog",
            unit="/s",
            ours=drain,
            goal=Goal(value_at_least=10_000),
        ),
        Line(
            key="events:consumer",
            title="consumer from a backlog",
            unit="/s",
            ours=consume,
            goal=Goal(value_at_least=20_000),
        ),
    ]
