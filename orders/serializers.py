"""Serializers of orders and refunds."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from commerce.api.fields import BodySerializer, GivenReasonField, IdField, IdParameter, ReasonField, StrictBooleanField
from orders.events import order_as_json, refund_as_json
from orders.models import Order, OrderStatus, Refund
from reservations.rules import LARGEST_QUANTITY
from reservations.serializers import CartSerializer, items_field


@extend_schema_serializer(
    examples=[
        OpenApiExample("Two of one product", {"items": [{"productId": 1, "quantity": 2}]}, request_only=True),
        OpenApiExample("What is held", {"reservationId": 1}, request_only=True),
    ]
)
class OrderRequestSerializer(CartSerializer):
    """A new order: items or a reservation, and optionally a coupon, by the `id` of the issued coupon."""

    items = items_field(required=False, help_text="Required unless `reservationId` is given.")
    reservationId = IdField(
        required=False,
        allow_null=True,
        default=None,
        help_text="Instead of `items`: exactly the items of this reservation.",
    )
    userCouponId = IdField(required=False, allow_null=True, default=None)


class CancelRequestSerializer(BodySerializer):
    """Required only from staff who cancel another customer's order. Customers send no body, or an empty object."""

    reason = ReasonField()


class RefundRequestSerializer(CartSerializer):
    """A refund by staff: units of the order's products, each product once, and the reason."""

    reason = GivenReasonField(help_text="The reason, which the customer can read.")
    restock = StrictBooleanField(
        required=False, default=True, help_text="Whether the units can be sold again; `false` for damaged goods."
    )


class OrderItemSerializer(serializers.Serializer[Any]):
    productId = serializers.IntegerField()
    productName = serializers.CharField()
    unitPrice = serializers.IntegerField(help_text="Price in won at the time of the order.")
    quantity = serializers.IntegerField(min_value=1, max_value=LARGEST_QUANTITY)
    subtotal = serializers.IntegerField(help_text="Won.")
    refundedQuantity = serializers.IntegerField(
        min_value=0, max_value=LARGEST_QUANTITY, help_text="The refunded part of `quantity`."
    )


class OrderSerializer(serializers.Serializer[Order]):
    """An order. Names and prices of its items are those at the time of the order."""

    # The fields are declared for the schema; the values are those of `order_as_json`, in events too.

    id = serializers.IntegerField()
    userId = serializers.IntegerField()
    status = serializers.ChoiceField(choices=OrderStatus.choices)
    items = OrderItemSerializer(many=True)
    totalAmount = serializers.IntegerField(help_text="Won.")
    discountAmount = serializers.IntegerField(help_text="Won.")
    paidAmount = serializers.IntegerField(help_text="Won.")
    refundedAmount = serializers.IntegerField(help_text="The refunded part of `paidAmount`, in won.")
    userCouponId = serializers.IntegerField(allow_null=True)
    createdAt = serializers.DateTimeField()
    completedAt = serializers.DateTimeField(allow_null=True)
    cancelledAt = serializers.DateTimeField(allow_null=True)

    def to_representation(self, instance: Order) -> dict[str, Any]:
        return order_as_json(instance)


class RefundedItemSerializer(serializers.Serializer[Any]):
    productId = serializers.IntegerField()
    quantity = serializers.IntegerField(min_value=1, max_value=LARGEST_QUANTITY)
    amount = serializers.IntegerField(help_text="Won.")


class RefundSerializer(serializers.Serializer[Refund]):
    """Refunded units of an order, and the refunded amount."""

    # As with `OrderSerializer`, the values are those of `refund_as_json`.

    id = serializers.IntegerField()
    orderId = serializers.IntegerField()
    items = RefundedItemSerializer(many=True)
    amount = serializers.IntegerField(help_text="Sum of all items, in won.")
    restock = serializers.BooleanField(help_text="Whether the units were returned to the stock.")
    reason = serializers.CharField()
    createdAt = serializers.DateTimeField()

    def to_representation(self, instance: Refund) -> dict[str, Any]:
        return refund_as_json(instance)


class MadeRefundSerializer(RefundSerializer):
    """A new refund, with the order after it."""

    order = OrderSerializer()


class OrdersQuerySerializer(serializers.Serializer[Any]):
    userId = IdParameter(required=False, help_text="Staff only.")
    status = serializers.ChoiceField(
        choices=OrderStatus.choices, required=False, help_text="Only orders with this status."
    )
