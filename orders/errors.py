"""Refusals of order operations."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, TypedDict

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from msgspec import Meta

from commerce.core.errors import Conflict, NotFound, Refused


class OrderNotFound(NotFound):
    """There is no such order among those the caller may see."""

    code = "order_not_found"
    title = _("Order not found")

    def __init__(self, order_id: int) -> None:
        self.order_id = order_id

    @property
    def detail(self) -> str | Promise:
        return _("You have no order %(order_id)d.") % {"order_id": self.order_id}


class OrderState(TypedDict):
    orderStatus: Annotated[str, Meta(description="The order's `status`.")]


class OrderNotCancellable(Conflict):
    """The order cannot be cancelled: it has been already, or a part of it is refunded."""

    code = "order_not_cancellable"
    title = _("Order not cancellable")

    def __init__(self, order_id: int, status: str) -> None:
        self.order_id = order_id
        self.status = status

    @property
    def detail(self) -> str | Promise:
        if self.status == "COMPLETED":
            return _("A part of order %(order_id)d has been refunded.") % {"order_id": self.order_id}
        return _("Order %(order_id)d is %(status)s.") % {"order_id": self.order_id, "status": self.status}

    @property
    def fields(self) -> OrderState:
        return {"orderStatus": self.status}


class OrderNotRefundable(Conflict):
    """Nothing is left of the order to refund: it was cancelled, or all of it is refunded."""

    code = "order_not_refundable"
    title = _("Order not refundable")

    def __init__(self, order_id: int, status: str) -> None:
        self.order_id = order_id
        self.status = status

    @property
    def detail(self) -> str | Promise:
        return _("Order %(order_id)d is %(status)s.") % {"order_id": self.order_id, "status": self.status}

    @property
    def fields(self) -> OrderState:
        return {"orderStatus": self.status}


@dataclass(frozen=True)
class Excess:
    """A product with fewer refundable units than requested."""

    product_id: int
    requested: int
    refundable: int


class ExcessItem(TypedDict):
    productId: int
    requested: Annotated[int, Meta(description="Units to refund.")]
    refundable: Annotated[int, Meta(description="Units that were bought and not refunded.")]


class ExcessItems(TypedDict):
    items: Annotated[list[ExcessItem], Meta(description="Every product of which fewer units can be refunded.")]


class RefundExceedsOrder(Refused):
    """More units were requested than were bought and are not refunded yet."""

    code = "refund_exceeds_order"
    title = _("Refund exceeds the order")

    def __init__(self, order_id: int, excesses: Sequence[Excess]) -> None:
        self.order_id = order_id
        self.excesses = excesses

    @property
    def detail(self) -> str | Promise:
        if len(self.excesses) > 1:
            sentence = _("Of %(count)d products fewer units of order %(order)d can be refunded.")
            return sentence % {"count": len(self.excesses), "order": self.order_id}
        excess = self.excesses[0]
        return _(
            "Of product %(product)d %(refundable)s units of order %(order)d can be refunded, not %(requested)s."
        ) % {
            "product": excess.product_id,
            "refundable": f"{excess.refundable:,}",
            "order": self.order_id,
            "requested": f"{excess.requested:,}",
        }

    @property
    def fields(self) -> ExcessItems:
        return {
            "items": [
                {"productId": each.product_id, "requested": each.requested, "refundable": each.refundable}
                for each in self.excesses
            ]
        }


class LimitReached(TypedDict):
    productId: int
    limit: Annotated[int, Meta(description="Units of it that one customer may buy in all.")]
    alreadyBought: Annotated[int, Meta(description="Units that the customer has bought and kept.")]


class PurchaseLimitExceeded(Refused):
    """The customer would have bought more units of a product than one customer may."""

    code = "purchase_limit_exceeded"
    title = _("Purchase limit exceeded")

    def __init__(self, product_id: int, *, limit: int, already_bought: int) -> None:
        self.product_id = product_id
        self.limit = limit
        self.already_bought = already_bought

    @property
    def detail(self) -> str | Promise:
        return _("One customer may buy %(limit)s of product %(product)d, and you have %(bought)s already.") % {
            "limit": f"{self.limit:,}",
            "product": self.product_id,
            "bought": f"{self.already_bought:,}",
        }

    @property
    def fields(self) -> LimitReached:
        return {"productId": self.product_id, "limit": self.limit, "alreadyBought": self.already_bought}
