"""The customers, products and coupons of one run: enough of most, and few of those that must run out.

Contains those rows and the tokens. Every run has its own rows, so that many runs can share a database.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from balances.models import User
from balances.services import charge_balance
from commerce.api.authentication import tokens_for
from commerce.idempotency.commit import Idempotency
from coupons.models import DiscountType
from tests.factories import CouponFactory, ProductFactory, UserFactory

USERS = 40
PRODUCTS = 26
SCARCE_PRODUCTS = 4
COUPONS = 6
UNITS = 15
PLENTY = 1_000_000
BALANCE_WON = 50_000_000


@dataclass(frozen=True)
class Scene:
    """The customers and the rows that they act on, by their ids in the API.

    Attributes:
        tokens: access tokens by user.
        products: with enough stock. `scarce`: with a few dozen units.
        coupons: with a few units each.
        probe_user: a customer whom only the probes use.
        opening: the ledger entries of the opening charges, before any request.
        users: all customers of the load.
    """

    tokens: dict[int, str]
    products: Sequence[int]
    scarce: Sequence[int]
    coupons: Sequence[int]
    probe_user: int
    opening: set[int]

    users: Sequence[int]

    def newcomer(self, *, balance: int) -> int:
        """A customer with `balance` won who is only used by the fault."""
        user: User = UserFactory()
        if balance:
            self.opening.add(charge_balance(user_id=user.pk, amount=balance, idempotency=Idempotency.none()).id)
        self.tokens[user.pk] = tokens_for(user_id=user.pk, is_staff=False).access
        return user.pk


def set_scene() -> Scene:
    """Write the rows into the current database. The money is charged by the use case, so its events exist."""
    users: list[User] = UserFactory.create_batch(USERS + 1)
    opening = [charge_balance(user_id=user.pk, amount=BALANCE_WON, idempotency=Idempotency.none()) for user in users]
    products = ProductFactory.create_batch(PRODUCTS, stock=PLENTY)
    scarce = ProductFactory.create_batch(SCARCE_PRODUCTS, stock=60)
    coupons = [
        *CouponFactory.create_batch(COUPONS // 2, total_quantity=UNITS),
        *CouponFactory.create_batch(
            COUPONS - COUPONS // 2,
            total_quantity=UNITS,
            discount_type=DiscountType.PERCENT,
            discount_value=10,
            max_discount=700,
        ),
    ]
    return Scene(
        tokens={user.pk: tokens_for(user_id=user.pk, is_staff=False).access for user in users},
        products=[product.pk for product in products],
        scarce=[product.pk for product in scarce],
        coupons=[coupon.pk for coupon in coupons],
        probe_user=users[-1].pk,
        opening={entry.id for entry in opening},
        users=[user.pk for user in users[:-1]],
    )
