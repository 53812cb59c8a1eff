"""Two more shops: one with a year of many orders, one with few, each in a separate database with its own web server.

They are created by `manage.py load_demo` when a line first needs them.
"""

import json
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from benchmarks.books import number
from benchmarks.errors import BenchmarkFailed
from benchmarks.servers import Servers
from benchmarks.shop import WebServer
from benchmarks.tokens import TokenMint

SMALL_ORDERS = 10_000
_MOST_PAGES = 400
_CUSTOMERS = 8
LISTS = {
    "ledger": "/api/users/balance/history?pageSize=20",
    "orders": "/api/users/orders?pageSize=20",
    "coupons": "/api/users/coupons?pageSize=20",
}
ROOMY_CUSTOMERS, ROOMY_PRODUCTS = 100, 20
"""How many customers have enough money, and how many products enough stock, for any load after `make_room`."""
# Both demo shops have so many. These statements write no ledger entries and no movements, so the invariants of these
# shops are not checked afterwards.
_MONEY = 'UPDATE "user" SET balance = 100000000 WHERE id <= %(customers)s'
_STOCK = "UPDATE product SET stock = 100000000, is_active = true, price = 1000 WHERE id <= %(products)s"
# The customers with the longest histories, which have the deepest pages.
_DEEPEST = """
    SELECT user_id FROM user_balance_tx JOIN "user" AS account ON account.id = user_id AND NOT is_staff
    GROUP BY user_id ORDER BY count(*) DESC, user_id LIMIT %(customers)s
"""


@dataclass(frozen=True)
class Pages:
    """The pages of one list at all depths: lines of customer and path in a file."""

    path: Path
    count: int
    highest_customer: int


class DemoShop:
    """A shop with `orders` orders and its own web server, without other processes."""

    def __init__(self, servers: Servers, name: str, *, orders: int, place: int) -> None:
        """`place`: the number of its Redis database, so that its pages and locks are separate."""
        self._servers = servers
        self._name = name
        self.orders = orders
        self.database_url = servers.database_url.rsplit("/", 1)[0] + f"/{name}"
        self._stack = ExitStack()
        self._pages: dict[str, Pages] = {}
        self._environment = {
            "DATABASE_URL": self.database_url,
            "REDIS_URL": servers.redis_url_of(place),
            "LOCK_REDIS_URL": servers.redis_url_of(place),
            # Events are not delivered there.
            "OUTBOX_DISPATCH_IN_WEB": "false",
        }
        self.web = WebServer(
            servers, name, application="commerce.asgi:application", ready_path="/readyz", environment=self._environment
        )

    def start(self) -> None:
        """Create the database and start the web server, which takes minutes for many orders. Raises EmbeddedError."""
        self._on_server(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(self._name)))
        self._stack.callback(
            self._on_server, sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(self._name))
        )
        self._manage("migrate", "--noinput", "--skip-checks")
        self._manage("load_demo", "--orders", str(self.orders))
        self.connection = psycopg.connect(self.database_url, autocommit=True)
        self._stack.callback(self.connection.close)
        self.rows = number(self.connection, "SELECT count(*) FROM user_balance_tx")
        self._stack.callback(self.web.stop)
        self.web.start()

    def stop(self) -> None:
        self._stack.close()

    def backfill(self, first: str, last: str) -> str:
        """Recompute the statistics of these days with the shop's command."""
        return self._manage("backfill_product_stats", "--from", first, "--to", last)

    def make_room(self) -> None:
        """Give the first customers enough money and the first products enough stock for any load."""
        self.connection.execute(_MONEY, {"customers": ROOMY_CUSTOMERS})
        self.connection.execute(_STOCK, {"products": ROOMY_PRODUCTS})

    def pages(self, name: str) -> Pages:
        """The pages of a list. The first call follows `next` to the last page, or to the 400th of each customer."""
        if name not in self._pages:
            self._pages[name] = self._followed(name)
        return self._pages[name]

    def _followed(self, name: str) -> Pages:
        mint = TokenMint(self._servers.signing_key)
        lines, highest = [], 0
        for (customer,) in self.connection.execute(_DEEPEST.encode(), {"customers": _CUSTOMERS}).fetchall():
            token, highest = mint.token(customer), max(highest, customer)
            path = LISTS[name]
            for _ in range(_MOST_PAGES):
                lines.append(f"{customer}\t{path}")
                following = self._get(path, token)["next"]
                if following is None:
                    break
                path = following[following.index("/api/") :]
        file = self._servers.folder / f"{self._name}-{name}.pages"
        file.write_text("\n".join(lines) + "\n")
        return Pages(file, len(lines), highest)

    def _on_server(self, statement: sql.Composed) -> None:
        with psycopg.connect(self._servers.database_url, autocommit=True) as connection:
            connection.execute(statement)

    def _get(self, path: str, token: str) -> dict[str, Any]:
        answer = self.web.call("GET", path, headers={"Authorization": f"Bearer {token}"})
        if answer.status != 200:
            raise BenchmarkFailed(f"{path} was answered {answer.status}: {answer.body.decode()}")
        page: dict[str, Any] = json.loads(answer.body)
        return page

    def _manage(self, *arguments: str) -> str:
        return self._servers.manage(*arguments, environment=self._environment)
