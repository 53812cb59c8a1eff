"""Orders on the wire; never decides anything."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from commerce.http.fields import BodySerializer, IdField, IdParameter, ReasonField
from orders.events import order_as_json
from orders.models import Order, OrderStatus
from reservations.rules import LARGEST_QUANTITY
from reservations.serializers import CartSerializer, items_field


@extend_schema_serializer(
    examples=[
        OpenApiExample("Two of one product", {"items": [{"productId": 1, "quantity": 2}]}, request_only=True),
        OpenApiExample("What is held", {"reservationId": 1}, request_only=True),
    ]
)
class OrderRequestSerializer(CartSerializer):
    """What to buy: items, or else the reservation that holds them; and the coupon to use, by the `id` among the coupons
    held.
    """

    items = items_field(required=False, help_text="Needed unless `reservationId` is given.")
    reservationId = IdField(
        required=False, allow_null=True, default=None, help_text="Instead of `items`: exactly what it holds."
    )
    userCouponId = IdField(required=False, allow_null=True, default=None)


class CancelRequestSerializer(BodySerializer):
    """Needed only by staff, who cancel another's order. Customers send no body, or an empty object."""

    reason = ReasonField()


class OrderItemSerializer(serializers.Serializer[Any]):
    productId = serializers.IntegerField()
    productName = serializers.CharField()
    unitPrice = serializers.IntegerField(help_text="Won, as it was.")
    quantity = serializers.IntegerField(min_value=1, max_value=LARGEST_QUANTITY)
    subtotal = serializers.IntegerField(help_text="Won.")


class OrderSerializer(serializers.Serializer[Order]):
    """An order. Names and prices of its items are those of the moment when it was placed."""

    # The fields are declared for the schema; the values are those of `order_as_json`, in events too.

    id = serializers.IntegerField()
    userId = serializers.IntegerField()
    status = serializers.ChoiceField(choices=OrderStatus.choices)
    items = OrderItemSerializer(many=True)
    totalAmount = serializers.IntegerField(help_text="Won.")
    discountAmount = serializers.IntegerField(help_text="Won.")
    paidAmount = serializers.IntegerField(help_text="Won.")
    userCouponId = serializers.IntegerField(allow_null=True)
    createdAt = serializers.DateTimeField()
    completedAt = serializers.DateTimeField(allow_null=True)
    cancelledAt = serializers.DateTimeField(allow_null=True)

    def to_representation(self, instance: Order) -> dict[str, Any]:
        return order_as_json(instance)


class OrdersQuerySerializer(serializers.Serializer[Any]):
    userId = IdParameter(required=False, help_text="Staff only.")
    status = serializers.ChoiceField(
        choices=OrderStatus.choices, required=False, help_text="Orders with this status only."
    )
