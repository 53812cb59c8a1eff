"""Serializers of the catalogue."""

from typing import Any

from rest_framework import serializers

from commerce.api.fields import FlagParameter, WholeNumberParameter
from products.rules import HIGHEST_PURCHASE_LIMIT, MOST_UNITS
from products.selectors import ORDERINGS


class ProductSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    name = serializers.CharField()
    description = serializers.CharField(allow_blank=True)
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
