"""The client that openapi-python-client generates from the schema: it works, and equals that in `clients/python`."""

import filecmp
import importlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from django.conf import settings

from balances.models import LedgerEntry
from tests.clients.conftest import RunningShop
from tests.documented import schema

CLIENT = Path(settings.BASE_DIR) / "clients" / "python"
KEPT = CLIENT / "src" / "commerce_client" / "_generated"


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package `made`, generated from the current schema."""
    folder = tmp_path_factory.mktemp("clients")
    document = folder / "openapi.json"
    document.write_text(json.dumps(schema()))
    command = [str(CLIENT / "generate"), str(document), str(folder / "made")]
    bin_folder = str(Path(sys.executable).parent)
    environment = {"PATH": f"{bin_folder}:/usr/bin:/bin", "PYTHON_BIN": bin_folder}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603  # ours
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture
def made(generated: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(generated))
    yield importlib.import_module("made")
    for name in [name for name in sys.modules if name == "made" or name.startswith("made.")]:
        del sys.modules[name]


Opened = Callable[[Any], Any]


@pytest.fixture
def opened() -> Iterator[Opened]:
    """Creates clients, whose connections are closed after the test."""
    with ExitStack() as stack:
        yield stack.enter_context


def differences(one: "filecmp.dircmp[str]") -> list[str]:
    own = [*one.left_only, *one.right_only, *one.diff_files]
    return own + [name for inner in one.subdirs.values() for name in differences(inner)]


def test_the_package_is_built_on_the_schema_as_it_is(generated: Path) -> None:
    compared = filecmp.dircmp(KEPT, generated / "made", ignore=["__pycache__"])
    assert differences(compared) == [], "Run `make client`."


@pytest.mark.django_db(transaction=True)
def test_it_shops(made: ModuleType, running_shop: RunningShop, opened: Opened) -> None:
    client, models = importlib.import_module("made.client"), importlib.import_module("made.models")

    def operation(name: str) -> ModuleType:
        return importlib.import_module(f"made.api.{name}")

    login = models.TokenRequest(username="customer1", password="customer")
    with client.Client(base_url=running_shop.url) as stranger:
        tokens = operation("account.token").sync(client=stranger, body=login)
    assert isinstance(tokens, models.Token)
    customer = opened(client.AuthenticatedClient(base_url=running_shop.url, token=tokens.access))

    charge = operation("balance.balance_charge")
    body = models.ChargeRequest(amount=5_000)
    first = charge.sync(client=customer, body=body, idempotency_key="k")
    again = charge.sync_detailed(client=customer, body=body, idempotency_key="k")
    assert isinstance(first, models.Charge)
    assert again.parsed == first
    assert again.headers["Idempotent-Replayed"] == "true"
    assert LedgerEntry.objects.count() == 1
    assert first.transaction.type_ is models.LedgerEntryType.CHARGE
    assert first.transaction.created_at.utcoffset() is not None

    held = operation("coupons.coupon_issue").sync(running_shop.coupon.pk, client=customer)
    item = models.OrderItemRequest(product_id=running_shop.pen.pk, quantity=2)
    place = operation("orders.order_place")
    order = place.sync(client=customer, body=models.OrderRequest(items=[item], user_coupon_id=held.id))
    assert (order.status, order.paid_amount) == (models.OrderStatus.COMPLETED, 1_500)
    page = operation("orders.user_orders").sync(client=customer)
    assert page.results == [order]
    cancelled = operation("orders.order_cancel").sync(order.id, client=customer)
    assert cancelled.cancelled_at is not None


@pytest.mark.django_db(transaction=True)
def test_each_problem_is_a_class_of_its_own(made: ModuleType, running_shop: RunningShop, opened: Opened) -> None:
    client, models = importlib.import_module("made.client"), importlib.import_module("made.models")
    place = importlib.import_module("made.api.orders.order_place")
    me, token = (importlib.import_module(f"made.api.account.{name}") for name in ("me", "token"))
    login = models.TokenRequest(username="customer1", password="customer")
    tokens = token.sync(client=opened(client.Client(base_url=running_shop.url)), body=login)
    customer = opened(client.AuthenticatedClient(base_url=running_shop.url, token=tokens.access))

    def order(quantity: int) -> object:
        item = models.OrderItemRequest(product_id=running_shop.pen.pk, quantity=quantity)
        return place.sync(client=customer, body=models.OrderRequest(items=[item]))

    short, poor, wrong = order(11), order(1), order(0)
    assert isinstance(short, models.OutOfStockProblem)
    assert [(item.requested, item.available) for item in short.items] == [(11, 10)]
    assert isinstance(poor, models.InsufficientBalanceProblem)
    assert (poor.balance, poor.required) == (0, 1_000)
    assert isinstance(wrong, models.ValidationErrorProblem)
    assert [(error.field, error.code) for error in wrong.errors] == [("items.0.quantity", "min_value")]
    refused = me.sync(client=opened(client.AuthenticatedClient(base_url=running_shop.url, token="nonsense")))
    assert isinstance(refused, models.TokenNotValidProblem)
