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
        help_text="Units that can be had: those held for carts are not counted. Up to a minute old in the list.",
    )
    purchaseLimit = serializers.IntegerField(
        allow_null=True,
        min_value=1,
        max_value=HIGHEST_PURCHASE_LIMIT,
        help_text="Units that one customer may buy in all, less what came back; `null`: no limit.",
    )


class CatalogQuerySerializer(serializers.Serializer[Any]):
    search = serializers.CharField(
        required=False,
        default="",
        allow_blank=True,
        max_length=100,
        help_text="Every word must occur in the name or the description, in any order and any case.",
    )
    ordering = serializers.ChoiceField(
        choices=list(ORDERINGS), required=False, default="id", help_text="What comes first; `-`: the other way round."
    )
    minPrice = WholeNumberParameter(
        required=False, default=None, min_value=0, max_value=2**63 - 1, help_text="Won: this price or a higher one."
    )
    maxPrice = WholeNumberParameter(
        required=False, default=None, min_value=0, max_value=2**63 - 1, help_text="Won: this price or a lower one."
    )
    inStock = FlagParameter(required=False, default=False, help_text="`true`: only what is in stock.")
