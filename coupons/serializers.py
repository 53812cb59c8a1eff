"""Coupons on the wire; never decides anything."""

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from commerce.http.fields import IdParameter
from coupons.models import Coupon, DiscountType, UserCoupon, UserCouponStatus
from coupons.selectors import ALL, EXPIRED, status_at

SHOWN_STATUSES = [*UserCouponStatus.values, EXPIRED]


class CouponSerializer(serializers.Serializer[Coupon]):
    id = serializers.IntegerField()
    name = serializers.CharField()
    discountType = serializers.ChoiceField(source="discount_type", choices=DiscountType.choices)
    discountValue = serializers.IntegerField(source="discount_value", help_text="Won for FIXED, percent for PERCENT.")
    maxDiscount = serializers.IntegerField(source="max_discount", allow_null=True, help_text="Won.")
    minOrderAmount = serializers.IntegerField(source="min_order_amount", help_text="Won.")
    totalQuantity = serializers.IntegerField(source="total_quantity")
    remaining = serializers.SerializerMethodField()
    issueStartsAt = serializers.DateTimeField(source="issue_starts_at")
    issueEndsAt = serializers.DateTimeField(source="issue_ends_at")
    validUntil = serializers.DateTimeField(source="valid_until")

    def get_remaining(self, coupon: Coupon) -> int:
        return coupon.total_quantity - coupon.issued_count


class UserCouponSerializer(serializers.Serializer[UserCoupon]):
    id = serializers.IntegerField()
    couponId = serializers.IntegerField(source="coupon_id")
    name = serializers.CharField(source="coupon.name")
    discountType = serializers.ChoiceField(source="coupon.discount_type", choices=DiscountType.choices)
    discountValue = serializers.IntegerField(source="coupon.discount_value")
    maxDiscount = serializers.IntegerField(source="coupon.max_discount", allow_null=True)
    minOrderAmount = serializers.IntegerField(source="coupon.min_order_amount")
    status = serializers.SerializerMethodField()
    issuedAt = serializers.DateTimeField(source="issued_at")
    expiresAt = serializers.DateTimeField(source="expires_at")
    usedAt = serializers.DateTimeField(source="used_at", allow_null=True)

    @extend_schema_field(serializers.ChoiceField(choices=SHOWN_STATUSES))
    def get_status(self, user_coupon: UserCoupon) -> str:
        return status_at(user_coupon, timezone.now())


class WalletQuerySerializer(serializers.Serializer[Any]):
    userId = IdParameter(required=False, help_text="Staff only.")
    status = serializers.ChoiceField(
        choices=[*SHOWN_STATUSES, ALL], required=False, default=UserCouponStatus.AVAILABLE.value
    )
