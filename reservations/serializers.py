"""Serializers of carts and reservations. `orders.serializers` uses the cart as well."""

from typing import Any

from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from commerce.api.fields import BodySerializer, IdField, StrictIntegerField
from commerce.core.times import local_time
from reservations.models import Reservation, ReservationStatus
from reservations.rules import LARGEST_QUANTITY, MOST_ITEMS, shown_status


@extend_schema_serializer(component_name="OrderItemRequest")
class ItemRequestSerializer(BodySerializer):
    """Units of one product. Each product may occur once."""

    productId = IdField()
    quantity = StrictIntegerField(min_value=1, max_value=LARGEST_QUANTITY)


def items_field(**options: Any) -> serializers.ListField:
    """The items of a cart."""
    return serializers.ListField(child=ItemRequestSerializer(), min_length=1, max_length=MOST_ITEMS, **options)


class CartSerializer(BodySerializer):
    """The items of a cart."""

    items = items_field()

    def validate_items(self, items: list[dict[str, int]]) -> list[dict[str, int]]:
        seen: set[int] = set()
        problems: list[dict[str, list[Any]]] = []
        for item in items:
            twice = item["productId"] in seen
            seen.add(item["productId"])
            problems.append({"productId": [_("This product is named twice.")]} if twice else {})
        if any(problems):
            raise serializers.ValidationError(problems, code="unique")
        return items


@extend_schema_serializer(
    examples=[OpenApiExample("Two of one product", {"items": [{"productId": 1, "quantity": 2}]}, request_only=True)]
)
class ReservationRequestSerializer(CartSerializer):
    """A new reservation."""


class ReservedItemSerializer(serializers.Serializer[Any]):
    productId = serializers.IntegerField()
    quantity = serializers.IntegerField(min_value=1, max_value=LARGEST_QUANTITY)


class ReservationSerializer(serializers.Serializer[Reservation]):
    """Units held for a customer. Prices are not held: they are those at the time of the order."""

    # The fields are declared for the schema; the values are those of `reservation_as_json`.

    id = serializers.IntegerField()
    userId = serializers.IntegerField()
    status = serializers.ChoiceField(
        choices=ReservationStatus.choices, help_text="HELD: it can be ordered. EXPIRED from `expiresAt` on."
    )
    items = ReservedItemSerializer(many=True)
    createdAt = serializers.DateTimeField()
    expiresAt = serializers.DateTimeField()
    endedAt = serializers.DateTimeField(allow_null=True, help_text="When its units were sold or released.")
    orderId = serializers.IntegerField(allow_null=True, help_text="The order that was placed from it.")


class LiveReservationSerializer(serializers.Serializer[Any]):
    """The active reservation, if any."""

    results = ReservationSerializer(many=True, help_text="One, or none.")


def reservation_as_json(reservation: Reservation) -> dict[str, Any]:
    """A reservation as the API returns it."""
    return {
        "id": reservation.pk,
        "userId": reservation.user_id,
        "status": str(shown_status(reservation.status, reservation.expires_at, timezone.now())),
        "items": [
            {"productId": product_id, "quantity": quantity} for product_id, quantity in reservation.quantities.items()
        ],
        "createdAt": local_time(reservation.created_at),
        "expiresAt": local_time(reservation.expires_at),
        "endedAt": local_time(reservation.ended_at),
        "orderId": reservation.order_id,
    }
