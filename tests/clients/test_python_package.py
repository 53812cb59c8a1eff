"""`clients/python` with a running shop: retries, lists, problems, and the code of its README."""

from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread

import httpx
import pytest
from commerce_client import NoAnswer, ProblemError, Shop, UnreadableAnswer
from commerce_client.models import (
    BalanceHistoryType,
    CouponAlreadyIssuedProblem,
    NotAuthenticatedProblem,
    OrderNotCancellableProblem,
    OrderStatus,
    OutOfStockProblem,
    ProductsOrdering,
    RefundExceedsOrderProblem,
    ReservationExpiredProblem,
    ReservationStatus,
    ServiceUnavailableProblem,
    ThrottledProblem,
    UserCouponsStatus,
)

from balances.models import LedgerEntry, User
from tests.clients.conftest import RunningShop
from tests.documents.blocks import blocks, paste
from tests.factories import ProductFactory, StaffFactory, charged

pytestmark = pytest.mark.django_db(transaction=True)


class Faulty(httpx.BaseTransport):
    """A transport that replaces responses to charges: `fault` gets the request and its number."""

    def __init__(self, fault: Callable[["Faulty", httpx.Request], httpx.Response]) -> None:
        self._fault = fault
        self._inner = httpx.HTTPTransport()
        self.charges: list[httpx.Request] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if not request.url.path.endswith("/charge"):
            return self.send(request)
        self.charges.append(request)
        return self._fault(self, request)

    def send(self, request: httpx.Request) -> httpx.Response:
        return self._inner.handle_request(request)

    @property
    def keys(self) -> set[str]:
        return {request.headers["Idempotency-Key"] for request in self.charges}

    def close(self) -> None:
        self._inner.close()


def problem(status: int, code: str, **headers: str) -> httpx.Response:
    body = {
        "type": f"/problems/{code.replace('_', '-')}",
        "title": "?",
        "status": status,
        "code": code,
        "detail": "?",
        "instance": "/",
        "requestId": "?",
    }
    content_type = {"Content-Type": "application/problem+json"}
    return httpx.Response(status, json=body, headers={**content_type, **headers})


def opened(shop: RunningShop, network: Faulty | None = None, pauses: list[float] | None = None) -> Shop:
    slept: list[float] = [] if pauses is None else pauses
    return Shop(shop.url, "customer1", "customer", transport=network, sleep=slept.append, tries=4)


@pytest.fixture
def shop(running_shop: RunningShop) -> Iterator[Shop]:
    with opened(running_shop) as shop:
        yield shop


def test_it_shops(shop: Shop, running_shop: RunningShop) -> None:
    assert shop.me().username == "customer1"
    assert shop.charge(5_000).balance == 5_000
    [coupon] = shop.coupons()
    held = shop.issue(coupon.id)
    assert [each.id for each in shop.held()] == [held.id]
    order = shop.place_order({running_shop.pen.pk: 2}, user_coupon_id=held.id)
    assert (order.status, order.paid_amount) == (OrderStatus.COMPLETED, 1_500)
    assert list(shop.held()) == []
    assert [each.id for each in shop.held(UserCouponsStatus.USED)] == [held.id]
    assert shop.balance().balance == 3_500
    assert shop.order(order.id) == order
    assert shop.cancel(order.id).status is OrderStatus.CANCELLED
    assert [entry.amount for entry in shop.ledger()] == [1_500, -1_500, 5_000]
    assert [entry.amount for entry in shop.ledger(entry_type=BalanceHistoryType.REFUND)] == [1_500]
    assert [each.id for each in shop.orders()] == [order.id]
    assert shop.product(running_shop.pen.pk).stock == 10
    assert shop.popular().results == []


def test_it_holds_a_cart_and_pays_it(shop: Shop, running_shop: RunningShop) -> None:
    pen = running_shop.pen.pk
    shop.charge(5_000)
    assert shop.reserved() is None
    first = shop.reserve({pen: 9})
    second = shop.reserve({pen: 2})
    assert shop.product(pen).stock == 8
    assert shop.reserved() == second == shop.reservation(second.id)
    assert shop.reservation(first.id).status is ReservationStatus.REPLACED
    order = shop.pay_reservation(second.id)
    assert [(item.product_id, item.quantity) for item in order.items] == [(pen, 2)]
    with pytest.raises(ProblemError) as paid:
        shop.pay_reservation(second.id)
    assert isinstance(paid.value.problem, ReservationExpiredProblem)
    assert (paid.value.problem.reservation_status, paid.value.problem.order_id) == ("PAID", order.id)
    third = shop.reserve({pen: 8})
    assert shop.release(third.id).status is ReservationStatus.RELEASED
    assert shop.product(pen).stock == 8


def test_staff_give_back_units(shop: Shop, running_shop: RunningShop) -> None:
    shop.charge(5_000)
    order = shop.place_order({running_shop.pen.pk: 2})
    StaffFactory(username="clerk", password="customer")
    with Shop(running_shop.url, "clerk", "customer") as clerk:
        made = clerk.refund(order.id, {running_shop.pen.pk: 1}, "Arrived broken.", restock=False)
        with pytest.raises(ProblemError) as refused:
            clerk.refund(order.id, {running_shop.pen.pk: 2}, "Sent back.")
    assert (made.amount, made.order.refunded_amount, made.order.status) == (1_000, 1_000, OrderStatus.COMPLETED)
    assert isinstance(refused.value.problem, RefundExceedsOrderProblem)
    assert refused.value.problem.items[0].refundable == 1
    assert [(each.id, each.amount, each.restock) for each in shop.refunds(order.id)] == [(made.id, 1_000, False)]


def test_public_lists_need_no_login(running_shop: RunningShop) -> None:
    with Shop(running_shop.url) as shop:
        assert [product.name for product in shop.products()] == ["Fountain pen"]
        with pytest.raises(ProblemError) as refused:
            shop.me()
    assert isinstance(refused.value.problem, NotAuthenticatedProblem)


def test_lists_continue_over_all_pages(shop: Shop, running_shop: RunningShop) -> None:
    ProductFactory.create_batch(204)
    for amount in range(1, 106):
        charged(User.objects.get(pk=running_shop.customer.pk), amount)
    prices = [product.price for product in shop.products(ordering=ProductsOrdering.PRICE)]
    assert len(prices) == 205
    assert [entry.amount for entry in shop.ledger()] == list(range(105, 0, -1))


def test_refusals_have_the_fields_of_their_code(shop: Shop, running_shop: RunningShop) -> None:
    shop.charge(1_000)
    with pytest.raises(ProblemError) as short:
        shop.place_order({running_shop.pen.pk: 11})
    assert isinstance(short.value.problem, OutOfStockProblem)
    assert short.value.problem.items[0].available == 10
    assert (short.value.code, short.value.status) == ("out_of_stock", 400)
    assert str(short.value) == f"out_of_stock: Product {running_shop.pen.pk} has 10 left, 11 were ordered."
    order = shop.place_order({running_shop.pen.pk: 1})
    shop.cancel(order.id)
    with pytest.raises(ProblemError) as twice:
        shop.cancel(order.id)
    assert isinstance(twice.value.problem, OrderNotCancellableProblem)
    assert twice.value.problem.order_status == "CANCELLED"
    shop.issue(running_shop.coupon.pk)
    with pytest.raises(ProblemError) as again:
        shop.issue(running_shop.coupon.pk)
    assert isinstance(again.value.problem, CouponAlreadyIssuedProblem)


def test_details_are_in_the_chosen_language(running_shop: RunningShop) -> None:
    with Shop(running_shop.url, language="ko") as shop, pytest.raises(ProblemError) as refused:
        shop.product(999_999)
    assert refused.value.code == "product_not_found"
    assert not refused.value.problem.title.isascii()


def test_a_lost_response_is_retried_with_the_same_key(running_shop: RunningShop) -> None:
    def lose_two(network: Faulty, request: httpx.Request) -> httpx.Response:
        answer = network.send(request)
        if len(network.charges) < 3:
            answer.close()
            raise httpx.ReadTimeout("lost", request=request)
        return answer

    network = Faulty(lose_two)
    pauses: list[float] = []
    with opened(running_shop, network, pauses) as shop:
        assert shop.charge(700).balance == 700
    assert (len(network.charges), len(network.keys), len(pauses)) == (3, 1, 2)
    assert LedgerEntry.objects.count() == 1


def test_two_calls_have_two_keys_unless_one_is_given(shop: Shop) -> None:
    assert shop.charge(700).transaction.id != shop.charge(700).transaction.id
    assert shop.charge(5, key="invoice").transaction.id == shop.charge(5, key="invoice").transaction.id
    with pytest.raises(ProblemError, match="idempotency_key_reused"):
        shop.charge(6, key="invoice")


@pytest.mark.parametrize(
    ("status", "code"),
    [(409, "request_in_progress"), (429, "throttled"), (503, "lock_timeout"), (500, "internal_error")],
)
def test_temporary_problems_are_retried_after_retry_after(running_shop: RunningShop, status: int, code: str) -> None:
    def fail_once(network: Faulty, request: httpx.Request) -> httpx.Response:
        is_first = len(network.charges) == 1
        return problem(status, code, **{"Retry-After": "7"}) if is_first else network.send(request)

    network = Faulty(fail_once)
    pauses: list[float] = []
    with opened(running_shop, network, pauses) as shop:
        assert shop.charge(700).balance == 700
    assert (len(network.keys), pauses) == (1, [7])


@pytest.mark.parametrize(("status", "code"), [(400, "balance_limit_exceeded"), (422, "idempotency_key_reused")])
def test_permanent_problems_are_not_retried(running_shop: RunningShop, status: int, code: str) -> None:
    network = Faulty(lambda _network, _request: httpx.Response(status, json={**_body(status, code)}, headers=PROBLEM))
    with opened(running_shop, network) as shop, pytest.raises(ProblemError, match=code):
        shop.charge(700)
    assert len(network.charges) == 1


PROBLEM = {"Content-Type": "application/problem+json"}


def _body(status: int, code: str) -> dict[str, object]:
    read: dict[str, object] = problem(status, code).json()
    return {**read, "balance": 1, "limit": 2}


def test_it_gives_up_after_its_attempts(running_shop: RunningShop) -> None:
    def refuse(network: Faulty, request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("away", request=request)

    network, busy = Faulty(refuse), Faulty(lambda _network, _request: problem(503, "service_unavailable"))
    with opened(running_shop, network) as shop, pytest.raises(NoAnswer):
        shop.charge(700)
    with opened(running_shop, busy) as shop, pytest.raises(ProblemError) as failed:
        shop.charge(700)
    assert isinstance(failed.value.problem, ServiceUnavailableProblem)
    assert (len(network.charges), len(busy.charges)) == (4, 4)


def test_a_too_long_pause_is_left_to_the_caller(running_shop: RunningShop) -> None:
    network = Faulty(lambda _network, _request: problem(429, "throttled", **{"Retry-After": "3600"}))
    with opened(running_shop, network) as shop, pytest.raises(ProblemError) as refused:
        shop.charge(700)
    assert isinstance(refused.value.problem, ThrottledProblem)
    assert refused.value.retry_after_seconds == 3_600
    assert len(network.charges) == 1


def test_an_unknown_problem_is_a_problem(running_shop: RunningShop) -> None:
    network = Faulty(lambda _network, _request: problem(502, "bad_gateway"))
    with opened(running_shop, network) as shop, pytest.raises(ProblemError) as failed:
        shop.charge(700)
    assert (failed.value.code, failed.value.status) == ("bad_gateway", 502)


def test_a_proxys_page_is_not_a_response_of_the_shop(running_shop: RunningShop) -> None:
    network = Faulty(lambda _network, _request: httpx.Response(404, html="<h1>Who?</h1>"))
    with opened(running_shop, network) as shop, pytest.raises(UnreadableAnswer):
        shop.charge(700)


def test_an_expired_token_is_replaced(running_shop: RunningShop) -> None:
    seen: list[str] = []

    class Watched(httpx.HTTPTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            seen.append(request.url.path)
            if len(seen) == 3:
                return problem(401, "token_not_valid")
            return super().handle_request(request)

    with Shop(running_shop.url, "customer1", "customer", transport=Watched()) as shop:
        assert shop.me().username == "customer1"
        assert shop.me().username == "customer1"
    me, token, refresh = "/api/users/me", "/api/auth/token", "/api/auth/token/refresh"
    assert seen == [token, me, me, refresh, me]


def test_threads_share_a_shop_and_its_login(running_shop: RunningShop) -> None:
    with opened(running_shop) as shop:
        threads = [Thread(target=shop.charge, args=(1,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert shop.balance().balance == 8


def test_the_code_of_its_page_runs(running_shop: RunningShop, tmp_path: Path) -> None:
    programs = blocks("clients/python/README.md", "python")
    source = Path(__file__).parents[2] / "clients" / "python" / "src"
    path = {"PYTHONPATH": str(source)}
    lines = paste("\n".join(programs), into="python", shop=running_shop.url, folder=tmp_path, variables=path)
    assert lines == [
        "50000",
        "COMPLETED 2000",
        "REFUND 2000 50000",
        "PAYMENT -2000 48000",
        "CHARGE 50000 50000",
    ]
