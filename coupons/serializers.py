"""Serializers of coupons."""

from typing import Any

from django.utils import timezone
from rest_framework import serializers

from commerce.api.fields import IdParameter
from commerce.core.times import local_time
from coupons.models import Coupon, DiscountType, UserCoupon, UserCouponStatus
from coupons.rules import HeldCoupon
from coupons.selectors import ALL, EXPIRED, held_coupon, status_at

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


def held_as_json(held: HeldCoupon) -> dict[str, Any]:
    """A held coupon as the API returns it; EXPIRED if it is unused and past its end."""
    return {
        "id": held.id,
        "couponId": held.coupon_id,
        "name": held.name,
        "discountType": held.discount_type,
        "discountValue": held.discount_value,
        "maxDiscount": held.max_discount,
        "minOrderAmount": held.min_order_amount,
        "status": status_at(held, timezone.now()),
        "issuedAt": local_time(held.issued_at),
        "expiresAt": local_time(held.expires_at),
        "usedAt": local_time(held.used_at),
    }


class UserCouponSerializer(serializers.Serializer[UserCoupon]):
    """A coupon that a customer holds, with the terms that it was issued with."""

    # The fields are declared for the schema; the values are those of `held_as_json`.

    id = serializers.IntegerField()
    couponId = serializers.IntegerField()
    name = serializers.CharField()
    discountType = serializers.ChoiceField(choices=DiscountType.choices)
    discountValue = serializers.IntegerField()
    maxDiscount = serializers.IntegerField(allow_null=True)
    minOrderAmount = serializers.IntegerField()
    status = serializers.ChoiceField(choices=SHOWN_STATUSES)
    issuedAt = serializers.DateTimeField()
    expiresAt = serializers.DateTimeField()
    usedAt = serializers.DateTimeField(allow_null=True)

    def to_representation(self, instance: UserCoupon) -> dict[str, Any]:
        return held_as_json(held_coupon(instance))


class WalletQuerySerializer(serializers.Serializer[Any]):
    userId = IdParameter(required=False, help_text="Staff only.")
    status = serializers.ChoiceField(
        choices=[*SHOWN_STATUSES, ALL],
        required=False,
        default=UserCouponStatus.AVAILABLE.value,
        help_text="Only coupons with this status, or all.",
    )
