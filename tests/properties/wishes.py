"""Requests to the shop: each for the service, for the API and for the model.

Contains the three forms of each request.
"""

from dataclasses import dataclass
from typing import Any

from balances.serializers import charge_as_json
from balances.services import adjust_balance, charge_balance
from commerce.audit.record import Staff
from commerce.idempotency.commit import Idempotency
from coupons.serializers import held_as_json
from coupons.services import issue_coupon
from orders.events import order_as_json, refund_as_json
from orders.services import cancel_order, place_order, refund_order
from tests.properties.model_shop import JSON, ModelShop
from tests.properties.wire import Wire
from tests.shopper import NO_BODY

REASON = "Asked on the phone."


@dataclass(frozen=True)
class Charge:
    """A charge of the caller's balance, or of another account by staff."""

    caller_id: int
    user_id: int
    amount: int

    @property
    def request(self) -> tuple[str, Any]:
        whose = {} if self.user_id == self.caller_id else {"userId": self.user_id, "reason": REASON}
        return "/api/balance/charge", {"amount": self.amount, **whose}

    def by_service(self) -> JSON:
        if self.user_id == self.caller_id:
            return charge_as_json(
                charge_balance(user_id=self.user_id, amount=self.amount, idempotency=Idempotency.none())
            )
        by = Staff(self.caller_id, REASON)
        return charge_as_json(
            adjust_balance(user_id=self.user_id, amount=self.amount, by=by, idempotency=Idempotency.none())
        )

    def in_model(self, shop: ModelShop) -> Any:
        return shop.charge(self.user_id, self.amount, by_staff=self.user_id != self.caller_id)

    def agreed(self, shop: ModelShop, entry: Any, answer: JSON) -> JSON:
        entry.id = answer["transaction"]["id"]
        return Wire(shop).charge(entry)


@dataclass(frozen=True)
class Issue:
    """The issue of a coupon to the caller."""

    caller_id: int
    coupon_id: int

    @property
    def request(self) -> tuple[str, Any]:
        return f"/api/coupons/{self.coupon_id}/issue", NO_BODY

    def by_service(self) -> JSON:
        held = issue_coupon(user_id=self.caller_id, coupon_id=self.coupon_id, idempotency=Idempotency.none())
        return held_as_json(held)

    def in_model(self, shop: ModelShop) -> Any:
        return shop.issue(self.caller_id, self.coupon_id)

    def agreed(self, shop: ModelShop, held: Any, answer: JSON) -> JSON:
        held.id = answer["id"]
        return Wire(shop).held(held)


@dataclass(frozen=True)
class Buy:
    """`cart` contains products and quantities, in the customer's order."""

    caller_id: int
    cart: tuple[tuple[int, int], ...]
    user_coupon_id: int | None

    @property
    def request(self) -> tuple[str, Any]:
        items = [{"productId": product_id, "quantity": quantity} for product_id, quantity in self.cart]
        coupon = {} if self.user_coupon_id is None else {"userCouponId": self.user_coupon_id}
        return "/api/orders", {"items": items, **coupon}

    def by_service(self) -> JSON:
        order = place_order(
            user_id=self.caller_id,
            quantities=dict(self.cart),
            user_coupon_id=self.user_coupon_id,
            idempotency=Idempotency.none(),
        )
        return order_as_json(order)

    def in_model(self, shop: ModelShop) -> Any:
        return shop.place_order(self.caller_id, dict(self.cart), self.user_coupon_id)

    def agreed(self, shop: ModelShop, purchase: Any, answer: JSON) -> JSON:
        purchase.id = answer["id"]
        shop.settle(purchase)
        return Wire(shop).order(purchase)


@dataclass(frozen=True)
class TakeBack:
    """The cancellation of an order, by its customer or by staff."""

    caller_id: int
    is_staff: bool
    order_id: int

    @property
    def request(self) -> tuple[str, Any]:
        return f"/api/orders/{self.order_id}/cancel", {"reason": REASON} if self.is_staff else NO_BODY

    @property
    def _owner_id(self) -> int | None:
        return None if self.is_staff else self.caller_id

    def by_service(self) -> JSON:
        return order_as_json(
            cancel_order(order_id=self.order_id, owner_id=self._owner_id, idempotency=Idempotency.none())
        )

    def in_model(self, shop: ModelShop) -> Any:
        return shop.cancel_order(self.order_id, self._owner_id)

    def agreed(self, shop: ModelShop, purchase: Any, answer: JSON) -> JSON:
        return Wire(shop).order(purchase)


@dataclass(frozen=True)
class GiveBack:
    """Units of an order, by staff. `units` is products and quantities."""

    caller_id: int
    order_id: int
    units: tuple[tuple[int, int], ...]
    restock: bool

    @property
    def request(self) -> tuple[str, Any]:
        items = [{"productId": product_id, "quantity": quantity} for product_id, quantity in self.units]
        return f"/api/orders/{self.order_id}/refunds", {"items": items, "reason": REASON, "restock": self.restock}

    def by_service(self) -> JSON:
        by = Staff(self.caller_id, REASON)
        done = refund_order(
            order_id=self.order_id,
            quantities=dict(self.units),
            restock=self.restock,
            by=by,
            idempotency=Idempotency.none(),
        )
        return {**refund_as_json(done.refund), "order": order_as_json(done.order)}

    def in_model(self, shop: ModelShop) -> Any:
        by = Staff(self.caller_id, REASON)
        return shop.refund(self.order_id, dict(self.units), restock=self.restock, by=by)

    def agreed(self, shop: ModelShop, refund: Any, answer: JSON) -> JSON:
        refund.id = answer["id"]
        refund.order_shown = Wire(shop).order(refund.purchase)
        shop.settle_refund(refund)
        return Wire(shop).refund(refund)


Wish = Charge | Issue | Buy | TakeBack | GiveBack
