"""The client: a method for each operation."""

import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar
from urllib.parse import parse_qs, urlsplit

import httpx

from commerce_client._generated.api.account import me
from commerce_client._generated.api.balance import balance, balance_charge, balance_history
from commerce_client._generated.api.coupons import coupon_issue, coupons, user_coupons
from commerce_client._generated.api.orders import (
    order,
    order_cancel,
    order_place,
    order_refund,
    order_refunds,
    user_orders,
)
from commerce_client._generated.api.products import product, products, products_popular
from commerce_client._generated.api.reservations import (
    reservation,
    reservation_make,
    reservation_release,
    reservations,
)
from commerce_client._generated.client import AuthenticatedClient
from commerce_client._generated.types import UNSET, Response, Unset
from commerce_client.errors import NoAnswer, ProblemError, UnreadableAnswer
from commerce_client.models import (
    Account,
    Balance,
    BalanceHistoryType,
    Charge,
    ChargeRequest,
    Coupon,
    CouponPage,
    LedgerEntry,
    LedgerEntryPage,
    LiveReservation,
    MadeRefund,
    Order,
    OrderItemRequest,
    OrderPage,
    OrderRequest,
    PopularProducts,
    Product,
    ProductPage,
    ProductsOrdering,
    Refund,
    RefundPage,
    RefundRequest,
    Reservation,
    ReservationRequest,
    UserCoupon,
    UserCouponPage,
    UserCouponsStatus,
    UserOrdersStatus,
)
from commerce_client.transport import Login, Retries, retry_after_seconds

T = TypeVar("T")
_LARGEST_PAGE = 100


class _Page(Protocol[T]):
    next_: str | None
    results: list[T]


class Shop:
    """A connection to a shop with one account. Can be used in a `with` statement and shared by threads.

    Every method raises ProblemError if the shop refuses, NoAnswer if there was no response after all tries, and
    UnreadableAnswer if the response is not from the shop.

    Each write has a new `Idempotency-Key`, so that retries are executed once. Pass your own `key` (1 to 255 visible
    ASCII characters) to repeat a call of an earlier run of the program.

    Args:
        base_url: such as `https://shop.example`.
        username, password, otp: of an account; without them only public data can be read.
        tries: the largest number of attempts, if a response is lost or the failure is temporary.
        timeout_seconds: of one attempt.
        longest_wait_seconds: if `Retry-After` is longer, the problem is raised at once.
        language: of titles and details, `en` or `ko`.
    """

    def __init__(
        self,
        base_url: str,
        username: str = "",
        password: str = "",
        *,
        otp: str | None = None,
        tries: int = 6,
        timeout_seconds: float = 15.0,
        longest_wait_seconds: float = 30.0,
        language: str = "en",
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        base_url = base_url.rstrip("/")
        retries = Retries(
            transport or httpx.HTTPTransport(),
            tries=tries,
            longest_wait_seconds=longest_wait_seconds,
            sleep=sleep,
        )
        self._user_id = 0
        self._http = httpx.Client(
            base_url=base_url,
            auth=Login(base_url, username, password, otp) if username else None,
            headers={"Accept-Language": language},
            timeout=timeout_seconds,
            transport=retries,
            event_hooks={"response": [_require_json]},
        )
        # The authentication is done by the login above.
        self._client = AuthenticatedClient(base_url=base_url, token="").set_httpx_client(self._http)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def me(self) -> Account:
        """The account that acts."""
        return self._answer(Account, me.sync_detailed)

    def balance(self, user_id: int | None = None) -> Balance:
        """The balance of the account, or for staff with the permission that of another one."""
        return self._answer(Balance, balance.sync_detailed, user_id=user_id or self._own_id())

    def charge(
        self, amount: int, *, user_id: int | None = None, reason: str | None = None, key: str | None = None
    ) -> Charge:
        """Add won to the balance. Staff can pass another account and a reason."""
        body = ChargeRequest(amount=amount, user_id=_given(user_id), reason=_given(reason))
        return self._answer(Charge, balance_charge.sync_detailed, body=body, idempotency_key=_key(key))

    def ledger(
        self,
        *,
        entry_type: BalanceHistoryType | None = None,
        first_day: date | None = None,
        last_day: date | None = None,
        user_id: int | None = None,
    ) -> Iterator[LedgerEntry]:
        """All changes of a balance, newest first. `from` and `to` are days of the shop, both inclusive."""
        return self._all(
            LedgerEntryPage,
            balance_history.sync_detailed,
            type_=_given(entry_type),
            from_=_given(first_day),
            to=_given(last_day),
            user_id=_given(user_id),
        )

    def products(
        self,
        search: str = "",
        *,
        ordering: ProductsOrdering = ProductsOrdering.ID,
        min_price: int | None = None,
        max_price: int | None = None,
        in_stock: bool = False,
    ) -> Iterator[Product]:
        """Products for sale."""
        return self._all(
            ProductPage,
            products.sync_detailed,
            search=search,
            ordering=ordering,
            min_price=_given(min_price),
            max_price=_given(max_price),
            in_stock=in_stock,
        )

    def product(self, product_id: int) -> Product:
        """One product."""
        return self._answer(Product, product.sync_detailed, product_id=product_id)

    def popular(self) -> PopularProducts:
        """The best-selling products."""
        return self._answer(PopularProducts, products_popular.sync_detailed)

    def coupons(self) -> Iterator[Coupon]:
        """Coupons that are open for issue."""
        return self._all(CouponPage, coupons.sync_detailed)

    def issue(self, coupon_id: int, *, key: str | None = None) -> UserCoupon:
        """Issue a coupon to the account."""
        return self._answer(UserCoupon, coupon_issue.sync_detailed, coupon_id=coupon_id, idempotency_key=_key(key))

    def held(
        self, status: UserCouponsStatus = UserCouponsStatus.AVAILABLE, *, user_id: int | None = None
    ) -> Iterator[UserCoupon]:
        """The issued coupons of an account."""
        return self._all(UserCouponPage, user_coupons.sync_detailed, status=status, user_id=_given(user_id))

    def place_order(
        self, quantities: Mapping[int, int], *, user_coupon_id: int | None = None, key: str | None = None
    ) -> Order:
        """Place and pay an order: units by product id, and optionally the id of an issued coupon."""
        body = OrderRequest(items=_items(quantities), user_coupon_id=user_coupon_id)
        return self._answer(Order, order_place.sync_detailed, body=body, idempotency_key=_key(key))

    def reserve(self, quantities: Mapping[int, int], *, key: str | None = None) -> Reservation:
        """Hold units by product id for some minutes; replaces the account's active reservation."""
        body = ReservationRequest(items=_items(quantities))
        return self._answer(Reservation, reservation_make.sync_detailed, body=body, idempotency_key=_key(key))

    def reserved(self) -> Reservation | None:
        """The account's active reservation, or None."""
        return next(iter(self._answer(LiveReservation, reservations.sync_detailed).results), None)

    def reservation(self, reservation_id: int) -> Reservation:
        """One reservation, also after its end."""
        return self._answer(Reservation, reservation.sync_detailed, reservation_id=reservation_id)

    def release(self, reservation_id: int, *, key: str | None = None) -> Reservation:
        """Release the units of a reservation."""
        return self._answer(
            Reservation, reservation_release.sync_detailed, reservation_id=reservation_id, idempotency_key=_key(key)
        )

    def pay_reservation(
        self, reservation_id: int, *, user_coupon_id: int | None = None, key: str | None = None
    ) -> Order:
        """Order exactly the items of a reservation, at current prices."""
        body = OrderRequest(reservation_id=reservation_id, user_coupon_id=user_coupon_id)
        return self._answer(Order, order_place.sync_detailed, body=body, idempotency_key=_key(key))

    def order(self, order_id: int) -> Order:
        """One order."""
        return self._answer(Order, order.sync_detailed, order_id=order_id)

    def orders(self, status: UserOrdersStatus | None = None, *, user_id: int | None = None) -> Iterator[Order]:
        """Orders, newest first."""
        return self._all(OrderPage, user_orders.sync_detailed, status=_given(status), user_id=_given(user_id))

    def cancel(self, order_id: int, *, key: str | None = None) -> Order:
        """Cancel a whole order."""
        return self._answer(Order, order_cancel.sync_detailed, order_id=order_id, idempotency_key=_key(key))

    def refund(
        self, order_id: int, quantities: Mapping[int, int], reason: str, *, restock: bool = True, key: str | None = None
    ) -> MadeRefund:
        """Refund units by product id, for staff with the permission; `restock`:

        whether they are returned to the stock.
        """
        items = [OrderItemRequest(product_id=each, quantity=units) for each, units in quantities.items()]
        body = RefundRequest(items=items, reason=reason, restock=restock)
        return self._answer(
            MadeRefund, order_refund.sync_detailed, order_id=order_id, body=body, idempotency_key=_key(key)
        )

    def refunds(self, order_id: int) -> Iterator[Refund]:
        """The refunds of an order, newest first."""
        return self._all(RefundPage, order_refunds.sync_detailed, order_id=order_id)

    def _own_id(self) -> int:
        self._user_id = self._user_id or self.me().user_id
        return self._user_id

    def _answer(self, kind: type[T], operation: Callable[..., Response[Any]], **arguments: Any) -> T:
        try:
            response = operation(client=self._client, **arguments)
        except httpx.TransportError as error:
            raise NoAnswer(str(error)) from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UnreadableAnswer(f"Not as this client knows it: {error!r}") from error
        if isinstance(response.parsed, kind):
            return response.parsed
        raise ProblemError(response.parsed, retry_after_seconds(response.headers))

    def _all(self, kind: type[_Page[T]], operation: Callable[..., Response[Any]], **arguments: Any) -> Iterator[T]:
        """The results of every page."""
        where: dict[str, Any] = {}
        while True:
            page = self._answer(kind, operation, page_size=_LARGEST_PAGE, **arguments, **where)
            yield from page.results
            if not page.next_:
                return
            where = _place(page.next_)


def _items(quantities: Mapping[int, int]) -> list[OrderItemRequest]:
    return [OrderItemRequest(product_id=each, quantity=units) for each, units in quantities.items()]


def _given(value: T | None) -> T | Unset:
    return UNSET if value is None else value


def _key(key: str | None) -> str:
    return key or str(uuid.uuid4())


def _place(address: str) -> dict[str, Any]:
    """The page parameter in this URL."""
    query = parse_qs(urlsplit(address).query)
    return {"cursor": query["cursor"][0]} if "cursor" in query else {"page": int(query["page"][0])}


def _require_json(response: httpx.Response) -> None:
    kind = response.headers.get("Content-Type", "")
    if kind not in ("application/json", "application/problem+json"):
        raise UnreadableAnswer(f"Status {response.status_code} with {kind or 'no content type'}")
