"""Serializers of the catalogue."""

from typing import Any

from rest_framework import serializers
from rest_framework.utils.field_mapping import ClassLookupDict

from commerce.api.fields import FlagParameter, WholeNumberParameter
from products.models import Product
from products.rules import HIGHEST_PURCHASE_LIMIT, MOST_UNITS
from products.selectors import ORDERINGS, SHOWN

_FIELD_OF_COLUMN: Any = ClassLookupDict(dict(serializers.ModelSerializer.serializer_field_mapping))


class ProductSerializer(serializers.Serializer[Any]):
    # The fields are those of `SHOWN`. One is declared here if the type of its column does not document it well enough.

    price = serializers.IntegerField(help_text="Won.")
    stock = serializers.IntegerField(
        min_value=0,
        max_value=MOST_UNITS,
        help_text="Available units, without those held for carts. Up to a minute old in the list.",
    )
    purchaseLimit = serializers.IntegerField(
        allow_null=True,
        min_value=1,
        max_value=HIGHEST_PURCHASE_LIMIT,
        help_text="Units that one customer may buy in total, without refunded ones; `null`: no limit.",
    )

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        declared = super().get_fields()
        return {name: declared.get(name) or _field_of(column) for name, column in SHOWN.items()}


def _field_of(column: str) -> serializers.Field[Any, Any, Any, Any]:
    stored: Any = Product._meta.get_field(column)
    kind: Any = _FIELD_OF_COLUMN[stored]
    options: dict[str, bool] = {"allow_blank": stored.blank} if issubclass(kind, serializers.CharField) else {}
    field: serializers.Field[Any, Any, Any, Any] = kind(allow_null=stored.null, **options)
    return field


class CatalogQuerySerializer(serializers.Serializer[Any]):
    search = serializers.CharField(
        required=False,
        default="",
        allow_blank=True,
        max_length=100,
        help_text="Each word must occur in the name or the description, in any order, ignoring case.",
    )
    ordering = serializers.ChoiceField(
        choices=list(ORDERINGS), required=False, default="id", help_text="The sort order; `-`: descending."
    )
    minPrice = WholeNumberParameter(
        required=False, default=None, min_value=0, max_value=2**63 - 1, help_text="The lowest price, in won."
    )
    maxPrice = WholeNumberParameter(
        required=False, default=None, min_value=0, max_value=2**63 - 1, help_text="The highest price, in won."
    )
    inStock = FlagParameter(required=False, default=False, help_text="`true`: only products in stock.")
