"""Reading coupons; never writes."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Case, Count, Exists, F, OuterRef, Q, QuerySet, Subquery, Value, When
from django.db.models.functions import Coalesce
from django.utils import timezone

from commerce.core.text import normal
from coupons.models import Coupon, CouponState, UserCoupon, UserCouponStatus
from coupons.rules import HeldCoupon

EXPIRED = "EXPIRED"
ALL = "ALL"

USED = Q(status=UserCouponStatus.USED)


def running(now: datetime) -> Q:
    """The window is open at `now`, whether or not there are units left."""
    return Q(issue_starts_at__lte=now, issue_ends_at__gt=now)


def state_conditions(now: datetime) -> dict[CouponState, Q]:
    """What each state means at `now`. Every coupon is in exactly one."""
    return {
        CouponState.SCHEDULED: Q(issue_starts_at__gt=now),
        CouponState.OPEN: running(now) & Q(issued_count__lt=F("total_quantity")),
        CouponState.SOLD_OUT: running(now) & Q(issued_count__gte=F("total_quantity")),
        CouponState.ENDED: Q(issue_ends_at__lte=now),
    }


def with_state(coupons: "QuerySet[Coupon]", now: datetime) -> "QuerySet[Coupon]":
    """Each coupon with its `state` at `now`, a value of CouponState."""
    cases = [When(condition, then=Value(state.value)) for state, condition in state_conditions(now).items()]
    return coupons.annotate(state=Case(*cases))


def open_coupons(now: datetime) -> "QuerySet[Coupon]":
    """Coupons whose window is open at `now`, sold-out ones included: their `remaining` is 0."""
    return Coupon.objects.filter(running(now))


@dataclass(frozen=True)
class Tally:
    """What a coupon counts, beside the rows behind it, of one moment."""

    issued_count: int
    """As the coupon says."""
    rows: int
    """As many customers hold or have used one."""
    used: int

    @property
    def agrees(self) -> bool:
        return self.issued_count == self.rows


def tally(coupon_id: int) -> Tally:
    """Count what was issued of one coupon. One statement, so that a unit issued meanwhile is in both counts or in none.

    Raises Coupon.DoesNotExist.
    """
    counted = Coupon.objects.annotate(
        rows=Count("issued"), used=Count("issued", filter=Q(issued__status=UserCouponStatus.USED))
    )
    return Tally(*counted.values_list("issued_count", "rows", "used").get(pk=coupon_id))


def used_counts(coupon_ids: Collection[int]) -> dict[int, int]:
    """How many of each of these coupons are used, in one query; a coupon of which none is used is left out."""
    used = UserCoupon.objects.filter(USED, coupon_id__in=coupon_ids).order_by()
    return dict(used.values_list("coupon_id").annotate(units=Count("id")))


def with_used_count(coupons: "QuerySet[Coupon]") -> "QuerySet[Coupon]":
    """Each coupon with its `used_count`, for files: a list asks `used_counts` for the coupons of its page."""
    used = UserCoupon.objects.filter(USED, coupon_id=OuterRef("pk")).order_by().values("coupon_id")
    return coupons.annotate(used_count=Coalesce(Subquery(used.values(units=Count("id"))), 0))


def status_conditions(now: datetime) -> dict[str, Q]:
    """What each status of an issued coupon means at `now`: AVAILABLE, USED, EXPIRED (unused and over)."""
    return {
        UserCouponStatus.AVAILABLE.value: Q(status=UserCouponStatus.AVAILABLE, expires_at__gt=now),
        UserCouponStatus.USED.value: USED,
        EXPIRED: Q(status=UserCouponStatus.AVAILABLE, expires_at__lte=now),
    }


def coupons_of(user_id: int, *, status: str, now: datetime) -> "QuerySet[UserCoupon]":
    """The user's coupons with a status as of `now`: AVAILABLE, USED, EXPIRED or ALL."""
    coupons = UserCoupon.objects.filter(user_id=user_id).select_related("coupon")
    return coupons if status == ALL else coupons.filter(status_conditions(now)[status])


def still_held(user_coupon_ids: Collection[int], *, now: datetime) -> set[int]:
    """Those of these issued coupons that can be used at `now`."""
    usable = status_conditions(now)[UserCouponStatus.AVAILABLE.value]
    return set(UserCoupon.objects.filter(usable, pk__in=user_coupon_ids).values_list("pk", flat=True))


def held_coupon(user_coupon: UserCoupon) -> HeldCoupon:
    """The row as the rules know it; its coupon comes with it (`coupons_of`)."""
    coupon = user_coupon.coupon
    return HeldCoupon(
        id=user_coupon.pk,
        user_id=user_coupon.user_id,
        coupon_id=user_coupon.coupon_id,
        status=user_coupon.status,
        issued_at=user_coupon.issued_at,
        expires_at=user_coupon.expires_at,
        used_at=user_coupon.used_at,
        name=coupon.name,
        discount_type=coupon.discount_type,
        discount_value=coupon.discount_value,
        max_discount=coupon.max_discount,
        min_order_amount=coupon.min_order_amount,
    )


def status_at(user_coupon: UserCoupon | HeldCoupon, now: datetime) -> str:
    """The status to show: a coupon whose time is over is EXPIRED, unless it was used."""
    if user_coupon.status == UserCouponStatus.AVAILABLE and user_coupon.expires_at <= now:
        return EXPIRED
    return user_coupon.status


def latest_holders(coupon_id: int, *, most: int) -> list[UserCoupon]:
    """Who got this coupon last, with the user, the newest first."""
    user_coupons = UserCoupon.objects.filter(coupon_id=coupon_id).select_related("user").order_by("-id")
    return list(user_coupons.only("status", "issued_at", "expires_at", "used_at", "user__username")[:most])


def coupons_called(text: str, number: int | None, *, most: int) -> "list[Coupon]":
    """Up to `most` coupons with this number, or every word of `text` in their name, in any case. They are few."""
    called = Q()
    for word in dict.fromkeys(normal(text).split()):
        called &= Q(name__icontains=word)
    if number is not None:
        called |= Q(pk=number)
    return list(Coupon.objects.filter(called).order_by("-id")[:most])


def sold_out_since(moment: datetime, *, most: int) -> "list[Coupon]":
    """Up to `most` coupons that are running, have no unit left and gave one since `moment`; the newest first."""
    now = timezone.now()
    given = UserCoupon.objects.filter(coupon_id=OuterRef("pk"), issued_at__gte=moment)
    sold_out = Coupon.objects.filter(state_conditions(now)[CouponState.SOLD_OUT])
    return list(sold_out.filter(Exists(given)).order_by("-id")[:most])
