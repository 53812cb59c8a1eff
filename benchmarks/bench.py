"""One run: starts servers, applications and data set when a line first needs them, and measures.

The loads are defined by the lines.
"""

import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import psycopg

from benchmarks import dataset, invariants, pgbench, wrk
from benchmarks.books import Books, Expected
from benchmarks.cpu import CpuReading, microseconds_each, read_cpu
from benchmarks.errors import BenchmarkFailed, WrongAnswer
from benchmarks.gateway import GatewayBefore
from benchmarks.large import SMALL_ORDERS, DemoShop
from benchmarks.naive import tables as naive_tables
from benchmarks.sample import Sample
from benchmarks.servers import Servers
from benchmarks.shop import Shop, WebServer
from benchmarks.tokens import TokenMint
from benchmarks.wrk import Load, Report

BARE_THREADS = 4
"""Of each of the two workers. More threads are slower."""
NAIVE_THREADS = 16
"""Of each of its two workers: a usual number. Each thread has a persistent database connection."""
_DELIVERY_SECONDS = 120.0


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options of a run."""

    quick: bool
    rounds: int
    seconds: float
    sizes: dataset.Sizes
    large_orders: int = 1_000_000
    keep: bool = False


class Bench:
    """A run between `start` and `stop`."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.sizes = options.sizes
        self.servers = Servers(keep=options.keep)
        self.bodies = self.servers.folder / "bodies"
        self._stack = ExitStack()
        self._stack.callback(self.servers.stop)
        self._runs = 0
        self._warm: set[str] = set()
        self._next_holder = 1

    def start(self) -> None:
        """Start servers and shop, and load the data set. Raises EmbeddedError, BenchmarkFailed."""
        wrk.program()
        pgbench.program()
        with step("PostgreSQL, Redis, broker, tables"):
            self.servers.start()
        self.connection = self.servers.connect()
        self._stack.callback(self.connection.close)
        self.books = Books(self.connection)
        with step(
            f"{self.sizes.customers:,} customers, {self.sizes.products:,} products, {self.sizes.coupons:,} coupons"
        ):
            for _part in dataset.load(self.connection, self.sizes):
                pass
            pgbench.make_tables(self.connection)
        with step("Access tokens"):
            self.tokens = self.servers.folder / "tokens"
            TokenMint(self.servers.signing_key).write(self.tokens, customers=self.sizes.customers)
        with step("Shop: web server with 2 workers, relay_outbox, consume_orders"):
            self.shop = Shop(self.servers)
            self._stack.callback(self.shop.stop)
            self.shop.start()
            self._place_first_orders()

    def stop(self) -> None:
        """Stop all servers and applications."""
        self._stack.close()

    def _place_first_orders(self) -> None:
        """Place one order for each of five products and wait until it is counted: the popular list must not be empty.

        The page is cached for half an hour, so it must not have been read before.
        """
        marks = self.books.marks()
        mint = TokenMint(self.servers.signing_key)
        for number in range(1, 6):
            headers = {"Authorization": f"Bearer {mint.token(number)}", "Content-Type": "application/json"}
            body = f'{{"items":[{{"productId":{number},"quantity":{number}}}]}}'.encode()
            answer = self.shop.web.call("POST", "/api/orders", headers=headers, body=body)
            if answer.status != 200:
                raise BenchmarkFailed(f"The first order was answered {answer.status}: {answer.body.decode()}")
        self.books.wait_until_delivered(marks, seconds=_DELIVERY_SECONDS)

    # --- The applications beside the shop -----------------------------------------------------------------------------

    @cached_property
    def bare(self) -> WebServer:
        """The bare views. They serve the bodies of `keep_body`, so call that first."""
        environment = {"DJANGO_SETTINGS_MODULE": "benchmarks.bare.settings", "BENCH_BODIES": str(self.bodies)}
        server = WebServer(
            self.servers,
            "bare",
            application="benchmarks.bare.wsgi:application",
            ready_path="/fixed/ready",
            environment=environment,
            threads=BARE_THREADS,
        )
        self._stack.callback(server.stop)
        server.start()
        return server

    def keep_body(self, name: str, body: bytes) -> None:
        """Set the response of the bare view of this name. A running server is restarted."""
        self.bodies.mkdir(exist_ok=True)
        path = self.bodies / name
        if path.exists() and path.read_bytes() == body:
            return
        (self.bodies / "ready").write_bytes(b"ready")
        path.write_bytes(body)
        if "bare" in self.__dict__:
            self.bare.stop()
            self.bare.start()

    @cached_property
    def naive(self) -> WebServer:
        """The usual implementation."""
        naive_tables.make_tables(self.servers, self.connection)
        server = WebServer(
            self.servers,
            "naive",
            application="benchmarks.naive.wsgi:application",
            ready_path="/ready",
            environment=naive_tables.SETTINGS,
            threads=NAIVE_THREADS,
        )
        self._stack.callback(server.stop)
        server.start()
        return server

    @cached_property
    def gateway(self) -> GatewayBefore:
        """The gateway in front of the shop's web server."""
        gateway = GatewayBefore(self.servers, self.shop.web.port)
        self._stack.callback(gateway.stop)
        gateway.start()
        return gateway

    @cached_property
    def large_shop(self) -> DemoShop:
        """A shop with a year of many orders."""
        return self._demo_shop("large_shop", self.options.large_orders, place=2)

    @cached_property
    def small_shop(self) -> DemoShop:
        """A shop with few orders, to compare the large one with."""
        return self._demo_shop("small_shop", SMALL_ORDERS, place=3)

    def _demo_shop(self, name: str, orders: int, *, place: int) -> DemoShop:
        shop = DemoShop(self.servers, name, orders=orders, place=place)
        self._stack.callback(shop.stop)
        with step(f"A shop with {orders:,} orders"):
            shop.start()
        return shop

    # --- Customers and keys -------------------------------------------------------------------------------------------

    def new_key(self) -> str:
        """The prefix of the idempotency keys of one measurement."""
        self._runs += 1
        return f"run{self._runs}"

    @property
    def runs(self) -> int:
        """The number of measurements so far."""
        return self._runs

    def load(self, port: int, script: str, connections: int, settings: Mapping[str, str] | None = None) -> Load:
        """A load by all customers in turn."""
        return Load(
            port=port,
            script=script,
            connections=connections,
            seconds=self.options.seconds,
            tokens=self.tokens,
            customers=self.sizes.customers,
            key=self.new_key(),
            settings=settings or {},
        )

    def tokens_of(self, customers: int) -> Path:
        """A file with tokens of the first `customers` ids; that of the data set, if it has enough."""
        if customers <= self.sizes.customers:
            return self.tokens
        path = self.servers.folder / f"tokens-{customers}"
        if not path.exists():
            TokenMint(self.servers.signing_key).write(path, customers=customers)
        return path

    def coupon_holders(self, load: Load) -> Load:
        """The same load by customers whose coupon of the data set is unused. Raises BenchmarkFailed."""
        left = self.sizes.customers - self._next_holder + 1
        if left < 1:
            raise BenchmarkFailed(
                "No customer with an unused coupon is left. Measure fewer rounds, or for fewer --seconds."
            )
        return replace(load, first=self._next_holder, customers=left, once=True)

    def spend_coupons(self, requests: int, connections: int) -> None:
        """Record that so many holders have used their coupons, plus those of requests that ran when the load ended."""
        self._next_holder += requests + connections + 1

    # --- Measuring ----------------------------------------------------------------------------------------------------

    def measure_shop(self, line: str, load: Load, expected: Expected | None = None) -> Sample:
        """Load the shop. With `expected`, verify its writes and measure processor time until all events are delivered.

        Raises WrongAnswer, BenchmarkFailed.
        """
        marks = self.books.marks() if expected else {}
        before = self.cpu_of_shop()
        report = wrk.run(load)
        ended = time.monotonic()
        answered = report.requests
        if expected:
            self.books.wait_until_answered()
            self.books.wait_until_delivered(marks, seconds=_DELIVERY_SECONDS)
        settled = time.monotonic() - ended
        used = self.cpu_of_shop().since(before)
        if expected:
            answered = self.books.verify(line, expected, report, marks)
        else:
            require_all(line, report, 200)
        right = report.with_status(expected.status if expected else 200)
        return sample(report, used, answered, right=right, notes={"settled_seconds": round(settled, 2)})

    def warm(self, server: WebServer, load: Load) -> None:
        """Load a server with reads for a second, once, so that its threads open their connections."""
        if server.name not in self._warm:
            self._warm.add(server.name)
            wrk.run(replace(load, seconds=1))

    def measure_beside(self, line: str, server: WebServer, load: Load) -> Sample:
        """Load the bare or the usual application, whose responses must all be 200. Raises WrongAnswer."""
        before = self._cpu({"app": server.pids})
        report = wrk.run(load)
        used = self._cpu({"app": server.pids}).since(before)
        require_all(f"{line} ({server.name})", report, 200)
        return sample(report, used, report.requests, right=report.requests)

    def measure_pgbench(self, script: str, *, clients: int) -> Sample:
        """Run one of the limits. Raises BenchmarkFailed."""
        self._runs += 1
        variables = {
            "customers": self.sizes.customers,
            "products": self.sizes.products,
            "product": self.sizes.hot_product,
            "counter": 0,
            "run": self._runs,
        }
        before = self._cpu({})
        report = pgbench.run(
            self.servers.database_url, script, clients=clients, seconds=self.options.seconds, variables=variables
        )
        return sample(report, self._cpu({}).since(before), report.requests, right=report.requests)

    def check_invariants(self, line: str, *arguments: str) -> None:
        """Run the shop's check of invariants while it is running. Raises WrongAnswer."""
        violations = invariants.check(self.servers.environment, *arguments)
        if violations:
            raise WrongAnswer(line, f"the invariants do not hold:\n{violations}")

    def check_everything(self) -> None:
        """Check at the end, in the idle system, that messages have arrived and hashes match. Raises WrongAnswer."""
        self.books.wait_until_delivered({"order": 0}, seconds=_DELIVERY_SECONDS)
        self.check_invariants("all lines", "--deep", "--quiet-system")

    def new_hot_coupon(self, *, units: int) -> int:
        """A new coupon of the shop without holders."""
        return dataset.new_coupon(self.connection, units=units)

    def cpu_of_shop(self) -> CpuReading:
        """Processor time of web server, dispatcher and consumer together, of PostgreSQL, of Redis and of a gateway."""
        gateway = self.gateway.pids if "gateway" in self.__dict__ else []
        return self._cpu({"app": self.shop.pids, "gateway": gateway})

    def _cpu(self, parts: Mapping[str, list[int]]) -> CpuReading:
        return read_cpu({**parts, "postgres": self.servers.pids.get("postgres", []), "redis": self._redis_pids})

    @property
    def _redis_pids(self) -> list[int]:
        return self.servers.pids.get("redis", [])


class step:  # noqa: N801 - reads as a statement
    """Prints the name of a step while it runs, and its duration afterwards."""

    def __init__(self, title: str) -> None:
        self._title = title

    def __enter__(self) -> None:
        self._began = time.monotonic()
        say(f"  {self._title} …", end="")

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        say(" failed" if error else f" {time.monotonic() - self._began:.1f} s")


def say(text: str, end: str = "\n") -> None:
    """Print for the person at the terminal."""
    sys.stdout.write(text + end)
    sys.stdout.flush()


def require_all(line: str, report: Report, status: int) -> None:
    """Raise WrongAnswer if a request failed or got another status."""
    right = report.with_status(status)
    if report.failed or right != report.requests or not right:
        raise WrongAnswer(
            line,
            f"{right} of {report.requests} requests were answered {status}, {report.failed} not at all; "
            f"statuses {dict(report.statuses)}, {report.refused} above 399",
        )


def sample(
    report: Report,
    used_seconds: Mapping[str, float],
    answered: int,
    *,
    right: int,
    notes: Mapping[str, float] | None = None,
) -> Sample:
    """The sample of a line that counts requests per second; `right` requests got the expected response.

    `answered`: the number of requests that the processor time was used for, including those the generator did not wait
    for.
    """
    return Sample(
        value=right / report.seconds,
        p50_ms=report.p50_ms,
        p95_ms=report.p95_ms,
        p99_ms=report.p99_ms,
        requests=report.requests,
        errors=report.failed + report.requests - right,
        cpu_us=microseconds_each({**used_seconds, "generator": report.cpu_seconds}, answered),
        notes=notes or {},
    )


def postgres_settings(connection: psycopg.Connection) -> dict[str, str]:
    """The server's version and its settings for durability."""
    names = ("server_version", "fsync", "synchronous_commit", "full_page_writes", "shared_buffers", "max_wal_size")
    rows = connection.execute("SELECT name, setting FROM pg_settings WHERE name = ANY(%s)", [list(names)]).fetchall()
    return {str(name): str(setting) for name, setting in rows}
