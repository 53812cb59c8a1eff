"""Refusals of the catalogue and of stock."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, TypedDict

from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from msgspec import Meta

from commerce.core.errors import NotFound, Refused


class ProductNotFound(NotFound):
    """There is no such product, or it is not for sale."""

    code = "product_not_found"
    title = _("Product not found")

    def __init__(self, product_id: int) -> None:
        self.product_id = product_id

    @property
    def detail(self) -> str | Promise:
        return _("There is no product %(product_id)d for sale.") % {"product_id": self.product_id}


@dataclass(frozen=True)
class Shortage:
    """A product with less available than was requested."""

    product_id: int
    requested: int
    available: int
    held: int = 0
    """Units in stock that are held for carts."""


class ShortItem(TypedDict):
    productId: int
    requested: Annotated[int, Meta(description="Units ordered.")]
    available: Annotated[int, Meta(description="Units left.")]


class ShortItems(TypedDict):
    items: Annotated[list[ShortItem], Meta(description="Every product of which less is left than was ordered.")]


class OutOfStock(Refused):
    """Fewer units are in stock than were ordered."""

    code = "out_of_stock"
    title = _("Out of stock")

    def __init__(self, shortages: Sequence[Shortage]) -> None:
        self.shortages = shortages

    @property
    def detail(self) -> str | Promise:
        if len(self.shortages) > 1:
            return _("%(count)d products have fewer units in stock than were ordered.") % {"count": len(self.shortages)}
        shortage = self.shortages[0]
        return _("Product %(product)d has %(available)s left, %(requested)s were ordered.") % {
            "product": shortage.product_id,
            "available": f"{shortage.available:,}",
            "requested": f"{shortage.requested:,}",
        }

    @property
    def for_staff(self) -> str:
        """The message for staff about the first product, without its name."""
        shortage = self.shortages[0]
        if shortage.held:
            sentence = gettext("Only %(stock)s units are not held for carts.")
        else:
            sentence = gettext("The stock is only %(stock)s.")
        return sentence % {"stock": f"{shortage.available:,}"}

    @property
    def fields(self) -> ShortItems:
        return {
            "items": [
                {"productId": each.product_id, "requested": each.requested, "available": each.available}
                for each in self.shortages
            ]
        }


class TooManyUnits(Refused):
    """The stock would exceed the largest number that the shop can store."""

    code = "too_many_units"
    title = _("Too many units")

    def __init__(self, available: int, most: int) -> None:
        self.available = available
        self.most = most

    @property
    def detail(self) -> str | Promise:
        return _("The stock is %(stock)s and cannot exceed %(most)s.") % {
            "stock": f"{self.available:,}",
            "most": f"{self.most:,}",
        }
