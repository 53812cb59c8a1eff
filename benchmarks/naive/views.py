"""The usual views: a redis-py lock, a transaction, `select_for_update`, `save()`."""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from django.conf import settings
from django.db import transaction
from redis import Redis
from rest_framework import generics, status
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from benchmarks.naive import serializers
from benchmarks.naive.models import (
    BalanceTransaction,
    Coupon,
    Customer,
    Order,
    OrderItem,
    OutboxEvent,
    Product,
    UserCoupon,
)

_redis = Redis.from_url(settings.REDIS_URL)


def _locked(keys: Sequence[str]) -> ExitStack:
    """Hold the locks of these keys, acquired in this order, during the block."""
    stack = ExitStack()
    for key in sorted(keys):
        stack.enter_context(_redis.lock(f"naive:{key}:lock", timeout=10, blocking_timeout=30))
    return stack


class ProductList(generics.ListAPIView[Product]):
    queryset = Product.objects.order_by("id")
    serializer_class = serializers.ProductSerializer
    permission_classes = [AllowAny]
    authentication_classes = ()


class ProductDetail(generics.RetrieveAPIView[Product]):
    queryset = Product.objects.all()
    serializer_class = serializers.ProductSerializer
    permission_classes = [AllowAny]
    authentication_classes = ()


class Balance(APIView):
    def get(self, request: Request, user_id: int) -> Response:
        return Response(serializers.BalanceSerializer(Customer.objects.get(pk=user_id)).data)


class Charge(APIView):
    def post(self, request: Request) -> Response:
        body = serializers.ChargeRequestSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        amount = body.validated_data["amount"]
        with _locked([f"user:{request.user.pk}"]), transaction.atomic():
            customer = Customer.objects.select_for_update().get(pk=request.user.pk)
            customer.balance += amount
            customer.save()
            entry = _book(customer, "CHARGE", amount)
        return Response(serializers.BalanceTransactionSerializer(entry).data)


class Issue(APIView):
    def post(self, request: Request, coupon_id: int) -> Response:
        with _locked([f"coupon:{coupon_id}"]), transaction.atomic():
            coupon = Coupon.objects.select_for_update().get(pk=coupon_id)
            if coupon.issued_count >= coupon.total_quantity:
                return Response({"detail": "Sold out."}, status=status.HTTP_409_CONFLICT)
            if UserCoupon.objects.filter(coupon=coupon, user_id=request.user.pk).exists():
                return Response({"detail": "Issued already."}, status=status.HTTP_409_CONFLICT)
            coupon.issued_count += 1
            coupon.save()
            held = UserCoupon.objects.create(coupon=coupon, user_id=request.user.pk)
            OutboxEvent.objects.create(type="coupon-issued", payload=serializers.UserCouponSerializer(held).data)
        return Response(serializers.UserCouponSerializer(held).data)


class PlaceOrder(APIView):
    def post(self, request: Request) -> Response:
        body = serializers.OrderRequestSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        items = sorted(body.validated_data["items"], key=lambda item: item["productId"])
        with _locked([f"product:{item['productId']}" for item in items]), transaction.atomic():
            lines = [
                (Product.objects.select_for_update().get(pk=item["productId"]), item["quantity"]) for item in items
            ]
            if any(product.stock < quantity for product, quantity in lines):
                return Response({"detail": "Out of stock."}, status=status.HTTP_409_CONFLICT)
            order = _order(request.user.pk, lines, body.validated_data.get("userCouponId"))
        return Response(serializers.OrderSerializer(order).data)


def _order(user_id: int, lines: Sequence[tuple[Product, int]], user_coupon_id: int | None) -> Order:
    total = sum(product.price * quantity for product, quantity in lines)
    discount = 0
    if user_coupon_id is not None:
        held = UserCoupon.objects.select_for_update().get(pk=user_coupon_id, user_id=user_id)
        held.status = "USED"
        held.save()
        discount = min(total, held.coupon.discount_value)
    for product, quantity in lines:
        product.stock -= quantity
        product.save()
    customer = Customer.objects.select_for_update().get(pk=user_id)
    customer.balance -= total - discount
    customer.save()
    order = Order.objects.create(
        user=customer, user_coupon_id=user_coupon_id, total_amount=total, paid_amount=total - discount
    )
    for product, quantity in lines:
        OrderItem.objects.create(order=order, product=product, unit_price=product.price, quantity=quantity)
    _book(customer, "PAYMENT", discount - total)
    OutboxEvent.objects.create(type="order-completed", payload=serializers.OrderSerializer(order).data)
    return order


def _book(customer: Customer, entry_type: str, amount: int) -> BalanceTransaction:
    entry = BalanceTransaction.objects.create(
        user=customer, type=entry_type, amount=amount, balance_after=customer.balance
    )
    payload: dict[str, Any] = dict(serializers.BalanceTransactionSerializer(entry).data)
    OutboxEvent.objects.create(type="balance-changed", payload=payload)
    return entry
