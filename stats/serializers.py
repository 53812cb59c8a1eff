"""Serializers of the statistics."""

from typing import Any

from drf_spectacular.utils import inline_serializer
from rest_framework import serializers


class PopularProductSerializer(serializers.Serializer[Any]):
    rank = serializers.IntegerField(min_value=1)
    productId = serializers.IntegerField()
    name = serializers.CharField()
    price = serializers.IntegerField(help_text="Won.")
    quantitySold = serializers.IntegerField(
        help_text="Units from `from` on, less those that were cancelled or refunded."
    )


def popular_products() -> serializers.Serializer[Any]:
    """The schema of the popular list; built from a dict, because `from` is a Python keyword."""
    fields: dict[str, Any] = {
        "from": serializers.DateField(),
        "to": serializers.DateField(help_text="Today in the shop's time zone."),
        "results": PopularProductSerializer(many=True),
    }
    return inline_serializer("PopularProducts", fields)
