"""The stack of `make run`: which processes are started, in which order and with which settings."""

import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.client import HTTPException
from pathlib import Path
from signal import SIGKILL, SIGTERM, Signals
from urllib.request import urlopen

from commerce.embedded.broker import Broker
from commerce.embedded.children import Child, ChildSpec
from commerce.embedded.command_lines import manage, web_command
from commerce.embedded.console import banner, say, step
from commerce.embedded.environment import RunFile, kept_secret, sole_stack, write_run_file
from commerce.embedded.gateway import Gateway
from commerce.embedded.ports import LOOPBACK, free_port, reserve
from commerce.embedded.postgres import Postgres
from commerce.embedded.redis_server import Redis
from commerce.embedded.sink import Sink
from commerce.embedded.supervisor import Service, Supervisor
from commerce.embedded.variables import given

_WEB_START_SECONDS = 90.0
_SERVERS_BEHIND_GATEWAY = 2
_WILDCARD_HOSTS = ("0.0.0.0", "::")  # noqa: S104 - compared, not used as a default

# Settings that the caller may override. Other manage.py commands must use the same values as the running stack.
_SHARED_VARIABLES = (
    "LOCK_REDIS_URL",
    "KAFKA_SECURITY_PROTOCOL",
    "KAFKA_SASL_MECHANISM",
    "KAFKA_SASL_USERNAME",
    "KAFKA_SASL_PASSWORD",
    "KAFKA_SSL_CA_LOCATION",
    "KAFKA_SSL_CERTIFICATE_LOCATION",
    "KAFKA_SSL_KEY_LOCATION",
    "KAFKA_SSL_KEY_PASSWORD",
    "KAFKA_TOPIC_PREFIX",
    "KAFKA_CONSUMER_GROUP",
    "SECRET_KEY_FALLBACKS",
    "JWT_SIGNING_KEY",
    "JWT_SIGNING_KEY_FALLBACKS",
    "PRODUCT_STATS_MODE",
    "TIME_ZONE",
)

# The embedded broker is in memory, so orders that were published but not counted when it ended are counted from the
# database. Older orders are left to a manual `manage.py backfill_product_stats`.
_RECOUNTED_DAYS = 31
_RECOUNT_THEN_CONSUME = (
    '"$0" "$1" backfill_product_stats --from "$COUNT_FROM" --to "$COUNT_TO"'
    ' && exec "$0" "$1" consume_orders --metrics-port "$2"'
)

_CHECK_SECONDS = 300
_EXPIRY_MINUTES = 1


class Quickstart:
    """One stack, from its start to its stop."""

    def __init__(
        self, *, directory: Path, host: str, port: int, workers: int, ends_with_parent: bool, gateway: bool = False
    ) -> None:
        self._directory = directory
        self._logs = directory / "logs"
        self._host = host
        self._port = port
        self._workers = workers
        self._has_gateway = gateway
        self._web_ports = [free_port() for _ in range(_SERVERS_BEHIND_GATEWAY)] if gateway else [port]
        self._supervisor = Supervisor(ends_with_parent=ends_with_parent)
        self._settings: dict[str, str] = {}
        self._shop: list[Service] = []
        self._sink_events = ""
        self._metrics: dict[str, str] = {}

    def run(self) -> None:
        """Start everything and keep it running until a stop signal.

        Raises:
            StopRequested: the signal was received; everything has been stopped.
            EmbeddedError: the stack cannot start or continue; everything has been stopped.
        """
        self._supervisor.listen_for_signals()
        with sole_stack(self._directory), reserve(self._host, self._port) as held_port:
            try:
                self._settings = self._fixed_settings()
                self._start_servers()
                self._prepare_shop()
                held_port.close()
                self._publish()
                self._start_shop()
                if self._has_gateway:
                    self._start_gateway()
                say(
                    banner(
                        web=self._web,
                        servers=list(map(self._address_of, self._web_ports)),
                        sink_events=self._sink_events,
                        metrics=self._metrics,
                        directory=str(self._directory),
                    )
                )
                self._supervisor.watch()
            finally:
                with step("Stopping"):
                    self._supervisor.stop()

    @property
    def _web(self) -> str:
        """The address for clients."""
        return _url(self._host, self._port)

    @property
    def _web_host(self) -> str:
        """The address on which the web servers listen: with a gateway, the loopback interface."""
        return LOOPBACK if self._has_gateway else self._host

    def _address_of(self, port: int) -> str:
        """The address of one of the web servers."""
        return _url(self._web_host, port)

    def _fixed_settings(self) -> dict[str, str]:
        """The settings that do not depend on running servers. Variables set by the caller take precedence."""
        defaults = {
            "SECRET_KEY": kept_secret(self._directory, "secret_key"),
            "DATA_PLATFORM_SECRET": kept_secret(self._directory, "data_platform_secret"),
            "HTTPS": "false",
            "ALLOWED_HOSTS": ",".join(dict.fromkeys(["localhost", "127.0.0.1", "[::1]", self._host])),
            "STATIC_ROOT": str(self._directory / "static"),
            # In production the popular list is cached for half an hour. Here a developer wants to see a new order in
            # it.
            "POPULAR_CACHE_SECONDS": "2",
            # Allows receivers of webhooks on this machine.
            "WEBHOOK_ALLOW_HTTP": "true",
            "WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8,::1/128",
            # For a person at the terminal.
            "LOG_FORMAT": "text",
            **({"BEHIND_PROXY": "true", "NUM_PROXIES": "1"} if self._has_gateway else {}),
        }
        shared = {name: given(name) for name in _SHARED_VARIABLES if given(name)}
        return {**shared, **{name: given(name) or value for name, value in defaults.items()}}

    def _environment(self) -> dict[str, str]:
        """The complete environment of a child process at this time."""
        # Bytecode is cached even if it must not be written to the source folders; then it goes to a separate folder.
        # Compiling everything in every process would take most of the start time.
        compiled = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(self._directory / "compiled")}
        today = datetime.now(UTC).date()
        return {
            **os.environ,
            **(compiled if given("PYTHONDONTWRITEBYTECODE") else {}),
            **self._settings,
            "LOCAL_DIR": str(self._directory),
            "DJANGO_SETTINGS_MODULE": "commerce.settings",
            "PYTHONUNBUFFERED": "1",
            "COUNT_FROM": str(today - timedelta(days=_RECOUNTED_DAYS)),
            # Tomorrow, because in some time zones it is tomorrow already.
            "COUNT_TO": str(today + timedelta(days=1)),
        }

    def _publish(self) -> None:
        """Write run.json, so that every manage.py command finds the stack."""
        write_run_file(
            self._directory,
            RunFile(
                web=self._web,
                database_url=self._settings["DATABASE_URL"],
                redis_url=self._settings["REDIS_URL"],
                kafka_bootstrap_servers=self._settings["KAFKA_BOOTSTRAP_SERVERS"],
                data_platform_url=self._settings["DATA_PLATFORM_URL"],
                pid=os.getpid(),
                environment=self._settings,
            ),
        )

    # --- Servers ------------------------------------------------------------------------------------------------------

    def _start_servers(self) -> None:
        self._use("DATABASE_URL", "PostgreSQL", self._start_postgres)
        self._use("REDIS_URL", "Redis", self._start_redis)
        self._use("KAFKA_BOOTSTRAP_SERVERS", "Kafka broker", self._start_broker)
        self._use("DATA_PLATFORM_URL", "Data platform", self._start_sink)

    def _use(self, variable: str, title: str, start: Callable[[], str]) -> None:
        """Use the server whose address was given, or start an embedded one."""
        address = given(variable)
        if address:
            say(f"  {title}: the one of {variable}")
        else:
            with step(title):
                address = start()
        self._settings[variable] = address

    def _start_postgres(self) -> str:
        postgres = Postgres(self._directory / "postgres", logs=self._logs)
        self._supervisor.run(Service(child=postgres.child, start=postgres.start, restart=postgres.restart))
        return postgres.url

    def _start_redis(self) -> str:
        redis = Redis(self._directory / "redis", logs=self._logs)
        self._supervisor.run(Service(child=redis.child, start=redis.start, restart=redis.child.start))
        return redis.url

    def _start_broker(self) -> str:
        broker = Broker(self._directory, logs=self._logs)

        def publish_new_address() -> None:
            broker.wait(self._supervisor.pause)
            self._settings["KAFKA_BOOTSTRAP_SERVERS"] = broker.bootstrap_servers
            say(f"broker has a new address, {broker.bootstrap_servers}; restarting the processes that use it")
            # One after the other, the web server first, because its downtime is the most noticeable.
            for service in reversed(self._shop):
                service.child.stop()
                service.start_again()
            self._publish()

        self._supervisor.run(
            Service(child=broker.child, start=broker.start, restart=broker.restart, restarted=publish_new_address)
        )
        return broker.bootstrap_servers

    def _start_sink(self) -> str:
        sink = Sink(self._directory, secret=self._settings["DATA_PLATFORM_SECRET"], logs=self._logs)
        self._supervisor.run(Service(child=sink.child, start=sink.start, restart=sink.restart))
        self._sink_events = sink.events_url
        return sink.url

    # --- The shop -----------------------------------------------------------------------------------------------------

    def _prepare_shop(self) -> None:
        """Database tables, demo data and static files; the last concurrently with the first two."""
        # System checks are run by `make check`; here they would double the start time.
        static = self._manage("collectstatic", "--noinput", "--skip-checks")
        demo = ("--if-empty", *(("--orders", given("DEMO_ORDERS")) if given("DEMO_ORDERS") else ()))
        try:
            for title, arguments in (
                ("Database tables", ("migrate", "--noinput", "--skip-checks")),
                ("Demo data (created at the first start only)", ("load_demo", *demo)),
            ):
                with step(title):
                    command = self._manage(*arguments)
                    try:
                        command.wait_until_ended(self._supervisor.pause)
                    finally:
                        command.stop()
            with step("Static files"):
                static.wait_until_ended(self._supervisor.pause)
        finally:
            static.stop()

    def _manage(self, *arguments: str) -> Child:
        """Start a manage.py command. Its log only contains this run."""
        log_path = self._logs / f"{arguments[0]}.log"
        log_path.unlink(missing_ok=True)
        child = Child(
            ChildSpec(
                name=f"manage.py {arguments[0]}",
                command=manage(*arguments),
                log_path=log_path,
            )
        )
        child.start(self._environment())
        return child

    def _start_shop(self) -> None:
        metrics = self._directory / "metrics"
        shutil.rmtree(metrics, ignore_errors=True)
        with step("Web server, dispatcher, statistics consumer"):
            if given("PRODUCT_STATS_MODE") != "inline":
                self._run("statistics", self._statistics_command())
            self._run("dispatcher", manage("relay_outbox", "--metrics-port", str(self._port_of_metrics("dispatcher"))))
            for number, port in enumerate(self._web_ports, 1):
                name = f"web-{number}" if self._has_gateway else "web"
                (metrics / name).mkdir(parents=True)
                command = web_command(host=self._web_host, port=port, workers=self._workers)
                # The web server has workers that end with it, so it has to be stopped gracefully, not killed.
                self._run(name, command, orphan_signal=SIGTERM, PROMETHEUS_MULTIPROC_DIR=str(metrics / name))
            for port, service in zip(self._web_ports, self._shop[-len(self._web_ports) :], strict=True):
                self._wait_until_ready(service.child, port)
        # Started last: the first check of the invariants is less urgent than the web server.
        checks = ("check_invariants", "--every", str(_CHECK_SECONDS))
        self._supervisor.run(self._service("invariants", ["nice", *manage(*checks)]))
        expiry = ("expire_reservations", "--every", str(_EXPIRY_MINUTES))
        self._supervisor.run(self._service("reservations", ["nice", *manage(*expiry)]))

    def _wait_until_ready(self, web: Child, port: int) -> None:
        is_up = False
        try:
            web.wait_until_ready(
                lambda: _is_ready(self._address_of(port)),
                timeout_seconds=_WEB_START_SECONDS,
                pause=self._supervisor.pause,
            )
            is_up = True
        finally:
            if not is_up:
                # Workers that are still importing code miss the stop signal. They serve no requests yet.
                for service in self._shop[-len(self._web_ports) :]:
                    service.child.kill()

    def _start_gateway(self) -> None:
        gateway = Gateway(
            self._directory / "gateway",
            logs=self._logs,
            host=self._host,
            port=self._port,
            servers=self._web_ports,
            origins=[origin.strip() for origin in given("CORS_ALLOWED_ORIGINS").split(",") if origin.strip()],
        )
        with step("Gateway"):
            self._supervisor.run(Service(child=gateway.child, start=gateway.start, restart=gateway.restart))

    def _run(self, name: str, command: list[str], *, orphan_signal: Signals = SIGKILL, **variables: str) -> None:
        """Start a process of the shop that uses the broker, without waiting for it. Web servers are started last."""
        service = self._service(name, command, orphan_signal=orphan_signal, **variables)
        self._shop.append(service)
        self._supervisor.run(service)

    def _service(self, name: str, command: list[str], *, orphan_signal: Signals = SIGKILL, **variables: str) -> Service:
        """A process that is started with the current settings each time."""
        child = Child(
            ChildSpec(
                name=name,
                command=command,
                log_path=self._logs / f"{name}.log",
                orphan_signal=orphan_signal,
                grace_seconds=15.0,
            )
        )

        def start() -> None:
            child.start({**self._environment(), **variables})

        return Service(child=child, start=lambda _pause: start(), restart=start)

    def _statistics_command(self) -> list[str]:
        """The consumer; with an in-memory broker, the orders that it may have lost are counted first."""
        port = str(self._port_of_metrics("statistics"))
        if given("KAFKA_BOOTSTRAP_SERVERS"):
            return manage("consume_orders", "--metrics-port", port)
        return ["sh", "-c", _RECOUNT_THEN_CONSUME, *manage(), port]

    def _port_of_metrics(self, name: str) -> int:
        """A free port, which the process keeps for the lifetime of the stack."""
        port = free_port()
        self._metrics[name] = f"http://{LOOPBACK}:{port}/metrics"
        return port


def _url(host: str, port: int) -> str:
    host = LOOPBACK if host in _WILDCARD_HOSTS else host
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _is_ready(web: str) -> bool:
    try:
        with urlopen(f"{web}/readyz", timeout=2) as answer:  # noqa: S310 - our own http address
            return bool(answer.status == 200)
    except (OSError, HTTPException):
        return False
