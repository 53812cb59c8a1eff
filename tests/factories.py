"""Factories for rows, as the shop itself would have written them.

They also create the ledger entry of a balance and the movement of a stock, so that every invariant holds at the start
of a test.
"""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar, cast

from django.db import transaction
from django.utils import timezone
from factory.declarations import LazyAttribute, LazyFunction, Sequence, SubFactory
from factory.django import DjangoModelFactory

from balances.models import LedgerEntry, User
from balances.rules import Account
from commerce.audit.record import Staff
from commerce.core import sql
from commerce.idempotency.commit import Idempotency
from coupons.models import Coupon, DiscountType, UserCoupon, UserCouponStatus
from coupons.services import issue_coupon
from orders.models import Order
from orders.services import Refunded, place_order, refund_order
from products.models import MovementReason, Product, StockMovement

T = TypeVar("T")

OPTIONAL = {"purchase_limit": None}
"""The fields of a product that may be left out, with their values then: as staff edit them."""
OPTIONAL_JSON = {"purchaseLimit": None}
"""The same in the API."""


class Maker(Protocol[T]):
    """The type of a factory call. To a type checker, the call of a factory class creates that class."""

    def __call__(self, **values: Any) -> T: ...

    def create_batch(self, size: int, **values: Any) -> "list[T]": ...


class _UserRows(DjangoModelFactory[User]):
    """A customer. `balance` won are charged; `password` is only needed to log in."""

    class Meta:
        model = User

    username = Sequence(lambda number: f"shopper{number}")
    balance = 0

    @classmethod
    def _create(cls, model_class: type[User], *args: Any, **kwargs: Any) -> User:
        password = kwargs.pop("password", None)
        balance = kwargs.pop("balance")
        user = model_class(**kwargs)
        user.set_password(password)
        user.save()
        if balance:
            charged(user, balance)
        return user


class _StaffRows(_UserRows):
    """A staff member with all permissions."""

    username = Sequence(lambda number: f"clerk{number}")
    is_staff = True
    is_superuser = True


class _ProductRows(DjangoModelFactory[Product]):
    """A product for sale; `stock` is its opening stock."""

    class Meta:
        model = Product

    name = Sequence(lambda number: f"Product {number}")
    description = "Fit for a test."
    price = 1_000
    stock = 10

    @classmethod
    def _create(cls, model_class: type[Product], *args: Any, **kwargs: Any) -> Product:
        product = model_class(**kwargs)
        product.save()
        StockMovement.objects.create(
            product=product, reason=MovementReason.OPENING, quantity=product.stock, created_at=timezone.now()
        )
        return product


class _CouponRows(DjangoModelFactory[Coupon]):
    """1,000 won off, 10 units, open since yesterday and until tomorrow, usable a week."""

    class Meta:
        model = Coupon

    name = Sequence(lambda number: f"Coupon {number}")
    discount_type = DiscountType.FIXED
    discount_value = 1_000
    max_discount = None
    min_order_amount = 0
    total_quantity = 10
    issue_starts_at = LazyFunction(lambda: timezone.now() - timedelta(days=1))
    issue_ends_at = LazyFunction(lambda: timezone.now() + timedelta(days=1))
    valid_until = LazyFunction(lambda: timezone.now() + timedelta(days=7))


class _UserCouponRows(DjangoModelFactory[UserCoupon]):
    """One issued unit of a coupon, counted on the coupon."""

    class Meta:
        model = UserCoupon

    user = SubFactory(_UserRows)
    coupon = SubFactory(_CouponRows)
    status = UserCouponStatus.AVAILABLE
    issued_at = LazyFunction(timezone.now)
    expires_at = LazyAttribute(lambda unit: unit.coupon.valid_until)

    @classmethod
    def _create(cls, model_class: type[UserCoupon], *args: Any, **kwargs: Any) -> UserCoupon:
        unit: UserCoupon = super()._create(model_class, *args, **kwargs)
        unit.coupon.issued_count += 1
        unit.coupon.save(update_fields=["issued_count"])
        return unit


UserFactory = cast("Maker[User]", _UserRows)
StaffFactory = cast("Maker[User]", _StaffRows)
ProductFactory = cast("Maker[Product]", _ProductRows)
CouponFactory = cast("Maker[Coupon]", _CouponRows)
UserCouponFactory = cast("Maker[UserCoupon]", _UserCouponRows)


def charged(user: User, amount: int = 1, *, at: datetime | None = None) -> LedgerEntry:
    """A charge of `amount` won, now or at another time, without its event."""
    with transaction.atomic():
        row = User.objects.select_for_update().get(pk=user.pk)
        account = Account(row.pk, row.balance, bytes(row.ledger_head), row.is_active)
        [[entry_id]] = sql.fetch_all("SELECT nextval('user_balance_tx_id_seq')")
        entry = account.deposit(amount, limit=2**62, entry_id=entry_id, now=at or timezone.now())
        User.objects.filter(pk=user.pk).update(balance=account.balance, ledger_head=account.ledger_head)
        kept = LedgerEntry.objects.create(**asdict(entry))
    user.refresh_from_db(fields=["balance", "ledger_head"])
    return kept


def issued(user: User, coupon: Coupon) -> UserCoupon:
    """A unit of the coupon that was issued to the customer."""
    held = issue_coupon(user_id=user.pk, coupon_id=coupon.pk, idempotency=Idempotency.none())
    return UserCoupon.objects.get(pk=held.id)


def expired_coupon_of(user: User, **terms: Any) -> UserCoupon:
    """A coupon of the customer that expired an hour ago."""
    now = timezone.now()
    coupon = CouponFactory(
        issue_starts_at=now - timedelta(days=3),
        issue_ends_at=now - timedelta(days=2),
        valid_until=now - timedelta(hours=1),
        **terms,
    )
    return UserCouponFactory(user=user, coupon=coupon, issued_at=now - timedelta(days=2))


def order_of(user: User, quantities: Mapping[Product, int], coupon: UserCoupon | None = None) -> Order:
    """A placed and paid order of the customer."""
    placed = place_order(
        user_id=user.pk,
        quantities={product.pk: quantity for product, quantity in quantities.items()},
        user_coupon_id=coupon.pk if coupon else None,
        idempotency=Idempotency.none(),
    )
    return Order.objects.get(pk=placed.id)


def refunded(order: Order, quantities: Mapping[Product, int], *, restock: bool = True, by: int = 0) -> Refunded:
    """Units of an order that a member of staff has given back."""
    units = {product.pk: quantity for product, quantity in quantities.items()}
    staff = Staff(by or StaffFactory().pk, "Sent back.")
    return refund_order(order_id=order.pk, quantities=units, restock=restock, by=staff, idempotency=Idempotency.none())
