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


class RefundRequestSerializer(CartSerializer):
    """What staff give back of an order, and why: units of its products, each product named once."""

    reason = GivenReasonField(help_text="Why. Kept with the refund, which the customer can read.")
    restock = StrictBooleanField(
        required=False, default=True, help_text="Whether the units can be sold again; `false` for damaged goods."
    )


class OrderItemSerializer(serializers.Serializer[Any]):
    productId = serializers.IntegerField()
    productName = serializers.CharField()
    unitPrice = serializers.IntegerField(help_text="Won, as it was.")
    quantity = serializers.IntegerField(min_value=1, max_value=LARGEST_QUANTITY)
    subtotal = serializers.IntegerField(help_text="Won.")
    refundedQuantity = serializers.IntegerField(
        min_value=0, max_value=LARGEST_QUANTITY, help_text="Of `quantity`, what has been given back."
    )


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
    refundedAmount = serializers.IntegerField(help_text="Of `paidAmount`, what has been given back, in won.")
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
    """Units of an order that were given back, and the won for them."""

    # As with `OrderSerializer`, the values are those of `refund_as_json`.

    id = serializers.IntegerField()
    orderId = serializers.IntegerField()
    items = RefundedItemSerializer(many=True)
    amount = serializers.IntegerField(help_text="Won, of all items.")
    restock = serializers.BooleanField(help_text="Whether the units are in stock again.")
    reason = serializers.CharField()
    createdAt = serializers.DateTimeField()

    def to_representation(self, instance: Refund) -> dict[str, Any]:
        return refund_as_json(instance)


class MadeRefundSerializer(RefundSerializer):
    """A refund that has just been made, with its order as it is now."""

    order = OrderSerializer()


class OrdersQuerySerializer(serializers.Serializer[Any]):
    userId = IdParameter(required=False, help_text="Staff only.")
    status = serializers.ChoiceField(
        choices=OrderStatus.choices, required=False, help_text="Orders with this status only."
    )
