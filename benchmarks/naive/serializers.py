"""The serializers of the usual implementation."""

from rest_framework import serializers

from benchmarks.naive.models import BalanceTransaction, Customer, Order, OrderItem, Product, UserCoupon


class ProductSerializer(serializers.ModelSerializer[Product]):
    class Meta:
        model = Product
        fields = ["id", "name", "description", "price", "stock"]


class BalanceSerializer(serializers.ModelSerializer[Customer]):
    class Meta:
        model = Customer
        fields = ["id", "balance"]


class BalanceTransactionSerializer(serializers.ModelSerializer[BalanceTransaction]):
    class Meta:
        model = BalanceTransaction
        fields = ["id", "type", "amount", "balance_after", "created_at"]


class UserCouponSerializer(serializers.ModelSerializer[UserCoupon]):
    class Meta:
        model = UserCoupon
        fields = ["id", "coupon", "status", "issued_at"]


class OrderItemSerializer(serializers.ModelSerializer[OrderItem]):
    class Meta:
        model = OrderItem
        fields = ["product", "unit_price", "quantity"]


class OrderSerializer(serializers.ModelSerializer[Order]):
    items = OrderItemSerializer(many=True)

    class Meta:
        model = Order
        fields = ["id", "items", "total_amount", "paid_amount", "created_at"]


class ChargeRequestSerializer(serializers.Serializer[None]):
    amount = serializers.IntegerField(min_value=1)


class ItemRequestSerializer(serializers.Serializer[None]):
    productId = serializers.IntegerField()
    quantity = serializers.IntegerField(min_value=1)


class OrderRequestSerializer(serializers.Serializer[None]):
    items = ItemRequestSerializer(many=True)
    userCouponId = serializers.IntegerField(required=False, allow_null=True)
