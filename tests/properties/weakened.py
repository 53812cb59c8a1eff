"""The shop without one of its rules, for controls that show which defects are detected.

The rule is restored after the block.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

from balances.rules import Account
from commerce.idempotency.commit import Idempotency
from coupons.rules import Discount
from products import operations as stock
from tests.layers import constraint_dropped


@contextmanager
def overdrafts() -> Iterator[None]:
    """A payment is not compared with the balance, neither by the account nor by the constraints."""
    with ExitStack() as off:
        off.enter_context(constraint_dropped("user", "user_balance_not_negative"))
        off.enter_context(constraint_dropped("user_balance_tx", "user_balance_tx_balance_not_negative"))
        off.enter_context(mock.patch.object(Account, "_require_money"))
        yield


@contextmanager
def stock_kept_after_a_cancel() -> Iterator[None]:
    """The units of a cancelled order are not returned."""
    with mock.patch.object(stock, "return_stock"):
        yield


@contextmanager
def discounts_rounded_up() -> Iterator[None]:
    """A percentage is rounded up instead of down."""
    off = Discount.off

    def rounded_up(self: Discount, total_amount: int) -> int:
        exact = self.discount_type == "FIXED" or total_amount * self.discount_value % 100 == 0
        return off(self, total_amount) + (0 if exact else 1)

    with mock.patch.object(Discount, "off", rounded_up):
        yield


@contextmanager
def answers_forgotten() -> Iterator[None]:
    """The response for a key is not stored."""

    def forget(self: Idempotency, transaction: object, result: Any) -> None:
        self.answer = self._render(result) if self._render else None

    with mock.patch.object(Idempotency, "remember", forget):
        yield
