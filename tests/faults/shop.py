"""The processes of the shop: web workers, relay_outbox and consume_orders, with a separate database and topics.

Contains their start with a variant of settings and patches. The servers that they use are in `servers`.
"""

import shutil
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from signal import SIGTERM
from urllib.parse import urlsplit

from commerce.embedded.children import Child, ChildSpec
from commerce.embedded.command_lines import web_command
from commerce.embedded.ports import LOOPBACK, free_port
from tests.faults.balancer import Balancer, reports_ready
from tests.faults.entry import FOLDER, PATCHES, ROLE, WORKERS, faulty_manage
from tests.faults.parts import Part, Web
from tests.faults.points import Points
from tests.faults.proxy import Proxy
from tests.faults.servers import Servers

WEB_WORKERS = 2


@dataclass(frozen=True, kw_only=True)
class Variant:
    """The options with which the shop is started.

    Attributes:
        settings: environment variables on top of the production defaults.
        patches: functions without arguments, by dotted name, that every process of the shop calls before it works.
            A control takes its protection away with them.
        proxied: which of `postgres`, `redis` and `data-platform` the shop reaches through a proxy that can be cut.
        web_servers: how many; several stand behind a balancer that asks them whether they are ready.
        weakens_servers: whether the fault also takes a protection of the servers away when it strikes. For controls of
            protections that are not in the shop.
    """

    settings: Mapping[str, str] = field(default_factory=dict)
    patches: tuple[str, ...] = ()
    proxied: frozenset[str] = frozenset()
    web_servers: int = 1
    weakens_servers: bool = False


class Shop:
    """A running shop.

    Attributes:
        web, relay, consumer: its processes. `webs`: all web servers, where there are several.
        points: where a fault arms what shall happen inside them.
        restarts: the processes that ended by themselves and were started again, by name.
        proxies: by server, as the variant asked. `balancer`: in front of several web servers.
        port: where clients go. `web_ports`: where the web servers are.
        database: the name of its database.
        environment: what a manage.py command on this shop needs.
    """

    def __init__(self, servers: Servers, variant: Variant) -> None:
        self.servers = servers
        self.variant = variant
        self._stack = ExitStack()
        self.database = servers.new_database()
        self.folder = servers.folder / self.database
        self.points = Points(self.folder / "points")
        self.proxies: dict[str, Proxy] = {}
        self.port = free_port()
        several = variant.web_servers > 1
        self.web_ports = [free_port() for _ in range(variant.web_servers)] if several else [self.port]
        self.balancer: Balancer | None = None
        self.restarts: list[str] = []
        self.environment = self._environment()

    def start(self) -> None:
        """Start all processes, and wait until the web server is ready and the others have reported that they work."""
        if self.servers.makes_topics:
            self.servers.run_command("create_topics", environment=self.environment)
        self.webs = [self._web(port) for port in self.web_ports]
        self.web = self.webs[0]
        self.relay = self._managed("relay", "relay_outbox", ready_line="Relaying to")
        self.consumer = self._managed("consumer", "consume_orders", ready_line="Counting")
        for part in self.parts:
            self._stack.callback(part.stop)
            part.start()
        if len(self.webs) > 1:
            self.balancer = Balancer(self.port, self.web_ports)

    def stop(self) -> None:
        """Stop all processes, the web server first, and drop the database."""
        self._stack.close()
        for proxy in self.proxies.values():
            proxy.close()
        if self.balancer:
            self.balancer.close()
        self.servers.drop_database(self.database)
        shutil.rmtree(self.folder, ignore_errors=True)

    def release(self) -> None:
        """Resume everything that is delayed or paused, so that it can be stopped."""
        self.points.disarm()
        for proxy in self.proxies.values():
            proxy.pass_on()
        for part in (self.servers.postgres, self.servers.redis, self.servers.sink):
            part.recover()

    def recover(self) -> None:
        """Undo everything that a fault has done to the shop or its servers."""
        self.release()
        self.servers.kafka.recover()
        for part in self.parts:
            part.recover()

    @property
    def parts(self) -> tuple[Part, ...]:
        """Its processes, in the order of their start."""
        return self.consumer, self.relay, *self.webs

    def look_after(self) -> None:
        """Restart processes that have ended, as `make run` and the compose file's restart policy do."""
        for part in self.parts:
            if part.look_after():
                self.restarts.append(part.name)

    def manage(self, *arguments: str) -> str:
        """Run a manage.py command on this shop. Raises subprocess.CalledProcessError."""
        return self.servers.run_command(*arguments, environment=self.environment)

    def another(self, name: str, command: str, *, ready_line: str) -> Part:
        """An additional process of the shop, started and stopped by a fault, at the latest at the shop's end."""
        part = self._managed(name, command, ready_line=ready_line)
        self._stack.callback(part.stop)
        return part

    def _environment(self) -> dict[str, str]:
        addresses = {
            "DATABASE_URL": self._through_proxy("postgres", self.servers.database_url(self.database)),
            "REDIS_URL": self._through_proxy("redis", self.servers.redis_url),
            "LOCK_REDIS_URL": self._through_proxy("redis", self.servers.lock_redis_url),
            "DATA_PLATFORM_URL": self._through_proxy("data-platform", self.servers.sink_url),
        }
        return {
            **self.servers.environment,
            **addresses,
            "KAFKA_TOPIC_PREFIX": f"{self.database}-",
            "KAFKA_CONSUMER_GROUP": f"{self.database}-product-stats",
            FOLDER: str(self.points.folder),
            PATCHES: ",".join(self.variant.patches),
            **self.variant.settings,
        }

    def _through_proxy(self, server: str, url: str) -> str:
        """The URL with the proxy's port, if the variant has one."""
        if server not in self.variant.proxied:
            return url
        port = urlsplit(url).port
        assert port is not None
        if server not in self.proxies:
            self.proxies[server] = Proxy(LOOPBACK, port)
        return url.replace(f":{port}/", f":{self.proxies[server].port}/")

    def _web(self, port: int) -> Web:
        name = f"web-{port}" if self.variant.web_servers > 1 else "web"
        workers, metrics = self.folder / f"{name}-workers", self.folder / f"{name}-metrics"
        for folder in (workers, metrics):
            folder.mkdir(parents=True)
        command = web_command(
            host=LOOPBACK,
            port=port,
            workers=WEB_WORKERS,
            application="tests.faults.asgi:application",
        )
        log = self.servers.logs / f"{name}.log"
        # The web server has workers that end with it, so it has to be stopped gracefully, not killed.
        child = Child(ChildSpec(name=name, command=command, log_path=log, orphan_signal=SIGTERM, grace_seconds=15))
        own = {"PROMETHEUS_MULTIPROC_DIR": str(metrics), WORKERS: str(workers), ROLE: "web"}

        def ready() -> bool:
            return reports_ready(port) and len(web.workers()) >= WEB_WORKERS

        web = Web(child, start=lambda: child.start({**self.environment, **own}), ready=ready, workers=workers)
        return web

    def _managed(self, role: str, command: str, *, ready_line: str) -> Part:
        log = self.servers.logs / f"{role}.log"
        child = Child(ChildSpec(name=role, command=faulty_manage(command), log_path=log, grace_seconds=15))
        began = [0]

        def start() -> None:
            began[0] = log.stat().st_size if log.exists() else 0
            child.start({**self.environment, ROLE: role})

        def ready() -> bool:
            return ready_line.encode() in log.read_bytes()[began[0] :]

        return Part(child, start=start, ready=ready)
