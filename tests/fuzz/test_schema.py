"""Schemathesis against the shop's own web server: valid requests according to the schema, and many invalid ones.

Runs all checks and phases of schemathesis, as two customers who must not see each other's data and as staff.
`make test-fuzz` runs this for longer, with a seed of one's choice.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.db import connection

from balances.models import User
from commerce.api.authentication import tokens_for
from commerce.idempotency.commit import Idempotency
from coupons.models import Coupon
from products.models import Product
from reservations.services import reserve
from tests.books import broken_rules
from tests.contract.test_routes_and_schema import CONTRACT
from tests.factories import CouponFactory, ProductFactory, StaffFactory, UserCouponFactory, UserFactory, order_of
from tests.fuzz.schema_run import SchemaRun, run_schemathesis
from tests.fuzz.web_server import WebServer, web_server
from tests.webhooks.conftest import subscribe

# The ids start at 1 in every run, so that a run can be repeated.
pytestmark = pytest.mark.django_db(transaction=True, reset_sequences=True)

PASSWORD = "correct horse"
NO_LIMITS = {
    "WRITES_PER_SECOND": "0",
    "COUPON_ISSUES_PER_SECOND": "0",
    "LOGINS_PER_MINUTE": "0",
    "LOGIN_FAILURES_PER_MINUTE": "0",
    "LOGIN_FAILURES_PER_HOUR": "0",
}
"""Limits are off, because a fuzzer would reach them with most of its requests."""

# A customer's data: no request by others may change it.
OWN_ROWS = {
    "user": "id",
    "user_balance_tx": "user_id",
    "user_coupon": "user_id",
    "order": "user_id",
    "idempotency_key": "caller_id",
}


@dataclass(frozen=True)
class Shop:
    """Two customers, a staff member, and products to order."""

    mina: User
    juno: User
    clerk: User
    products: list[Product]
    coupons: list[Coupon]
    webhook_id: int

    @property
    def tokens(self) -> dict[str, str]:
        people = {"mina": self.mina, "juno": self.juno, "clerk": self.clerk}
        return {name: tokens_for(user_id=who.pk, is_staff=who.is_staff).access for name, who in people.items()}

    @property
    def dictionaries(self) -> dict[str, list[int] | list[str]]:
        """Ids and names of existing rows."""
        return {
            "users": [self.mina.pk, self.juno.pk],
            "orders": self._ids("order"),
            "reservations": self._ids("reservation"),
            "webhooks": [self.webhook_id],
            "userCoupons": self._ids("user_coupon"),
            "coupons": [coupon.pk for coupon in self.coupons],
            "products": [product.pk for product in self.products],
            "usernames": [self.mina.username],
            "passwords": [PASSWORD],
            "refreshTokens": [tokens_for(user_id=self.mina.pk, is_staff=False).refresh],
        }

    def things_of(self, user: User) -> dict[str, list[object]]:
        """All rows that belong to this customer."""
        with connection.cursor() as cursor:
            rows: dict[str, list[object]] = {}
            for table, owner in OWN_ROWS.items():
                cursor.execute(f'SELECT * FROM "{table}" WHERE "{owner}" = %s ORDER BY 1', [user.pk])  # noqa: S608  # our list
                rows[table] = [repr(row) for row in cursor.fetchall()]
        return rows

    def _ids(self, table: str) -> list[int]:
        with connection.cursor() as cursor:
            cursor.execute(f'SELECT id FROM "{table}" WHERE user_id = %s ORDER BY 1', [self.mina.pk])  # noqa: S608  # our names
            return [row[0] for row in cursor.fetchall()]


FOR_STAFF = {"POST /api/orders/{orderId}/refunds"} | {
    f"{method} {path}" for method, path in CONTRACT if path.startswith("/api/webhooks")
}


@pytest.fixture
def shop() -> Shop:
    mina = UserFactory(username="mina", balance=500_000_000, password=PASSWORD)
    juno = UserFactory(username="juno", balance=500_000_000)
    products = ProductFactory.create_batch(4, price=100, stock=10_000_000)
    coupons = CouponFactory.create_batch(40, total_quantity=1_000)
    for coupon in coupons[:6]:
        UserCouponFactory(user=mina, coupon=coupon)
    for number, product in enumerate(products):
        order_of(mina, {product: number + 1})
    reserve(user_id=mina.pk, quantities={products[0].pk: 1}, idempotency=Idempotency.none())
    webhook = subscribe("https://partner.example/webhooks")
    return Shop(mina, juno, StaffFactory(), products, coupons, webhook.pk)


def chosen(*, brief: bool = False) -> list[str]:
    """How much is tried: little and always the same, or what `make test-fuzz` was told.

    `brief` leaves out what one identity has shown for all: the bounds of every parameter.
    """
    seed, examples = os.environ.get("FUZZ_SEED", ""), os.environ.get("FUZZ_EXAMPLES", "")
    if not seed and not examples:
        phases = ["--phases", "fuzzing,stateful"] if brief else []
        return ["--generation-deterministic", "--max-examples", "8", *phases]
    return ["--seed", seed or "1", "--max-examples", examples or "300", "--generation-database", "none"]


def fuzz(web: WebServer, shop: Shop, folder: Path, *arguments: str, identity: str) -> SchemaRun:
    return run_schemathesis(
        web,
        folder,
        tokens=shop.tokens,
        identity=identity,
        dictionaries=shop.dictionaries,
        arguments=arguments,
    )


@pytest.mark.parametrize("identity", ["mina", "juno", "clerk"])
def test_the_shop_keeps_to_its_schema_whatever_is_sent(shop: Shop, tmp_path: Path, identity: str) -> None:
    before = shop.things_of(shop.mina)
    with web_server("tests.fuzz.quick_logins:application", **NO_LIMITS) as web:
        run = fuzz(web, shop, tmp_path, *chosen(brief=identity != "mina"), identity=identity)
    log = web.log_path.read_text()

    assert run.exit_code == 0, run.printed
    assert run.report["operations"]["tested"] == len(CONTRACT)
    assert "Traceback" not in log, log[-5_000:]
    assert broken_rules() == set()
    if identity == "juno":
        assert shop.things_of(shop.mina) == before
    if identity == "mina":
        assert run.accepted() == {f"{method} {path}" for method, path in CONTRACT} - FOR_STAFF


@pytest.mark.parametrize(
    ("without", "found"),
    [
        ("owner check of orders", "ObjectLevelAuthorizationViolation"),
        ("answer to one filter", "ServerError"),
    ],
)
def test_a_missing_protection_is_found(shop: Shop, tmp_path: Path, without: str, found: str) -> None:
    """The control: the same run, on a shop with one defect."""
    with web_server("tests.fuzz.weakened:application", **NO_LIMITS, WEAKENED=without) as web:
        only_orders = ["--include-path-regex", "orders"]
        run = fuzz(web, shop, tmp_path, *chosen(brief=True), *only_orders, identity="mina")
    assert run.exit_code == 1, run.printed
    assert found in run.failures, run.printed
