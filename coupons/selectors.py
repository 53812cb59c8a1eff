"""Queries on coupons."""

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
    """The condition for coupons whose issue window is open at `now`, sold-out ones included."""
    return Q(issue_starts_at__lte=now, issue_ends_at__gt=now)


def state_conditions(now: datetime) -> dict[CouponState, Q]:
    """The condition for each state at `now`. Every coupon is in exactly one state."""
    return {
        CouponState.SCHEDULED: Q(issue_starts_at__gt=now),
        CouponState.OPEN: running(now) & Q(issued_count__lt=F("total_quantity")),
        CouponState.SOLD_OUT: running(now) & Q(issued_count__gte=F("total_quantity")),
        CouponState.ENDED: Q(issue_ends_at__lte=now),
    }


def with_state(coupons: "QuerySet[Coupon]", now: datetime) -> "QuerySet[Coupon]":
    """The coupons annotated with `state`, their CouponState at `now`."""
    cases = [When(condition, then=Value(state.value)) for state, condition in state_conditions(now).items()]
    return coupons.annotate(state=Case(*cases))


def open_coupons(now: datetime) -> "QuerySet[Coupon]":
    """Coupons whose window is open at `now`, sold-out ones included: their `remaining` is 0."""
    return Coupon.objects.filter(running(now))


@dataclass(frozen=True)
class Tally:
    """A coupon's counter beside its number of rows, from one snapshot."""

    issued_count: int
    """`Coupon.issued_count`."""
    rows: int
    """Number of `UserCoupon` rows."""
    used: int

    @property
    def agrees(self) -> bool:
        return self.issued_count == self.rows


def tally(coupon_id: int) -> Tally:
    """Count the issued rows of one coupon, in one statement: a concurrent issue is in both counts or in neither.

    Raises Coupon.DoesNotExist.
    """
    counted = Coupon.objects.annotate(
        rows=Count("issued"), used=Count("issued", filter=Q(issued__status=UserCouponStatus.USED))
    )
    return Tally(*counted.values_list("issued_count", "rows", "used").get(pk=coupon_id))


def used_counts(coupon_ids: Collection[int]) -> dict[int, int]:
    """The number of used ones by coupon id, in one query; coupons with none are left out."""
    used = UserCoupon.objects.filter(USED, coupon_id__in=coupon_ids).order_by()
    return dict(used.values_list("coupon_id").annotate(units=Count("id")))


def with_used_count(coupons: "QuerySet[Coupon]") -> "QuerySet[Coupon]":
    """The coupons annotated with `used_count`, for exports; lists call `used_counts` for the coupons of a page."""
    used = UserCoupon.objects.filter(USED, coupon_id=OuterRef("pk")).order_by().values("coupon_id")
    return coupons.annotate(used_count=Coalesce(Subquery(used.values(units=Count("id"))), 0))


def status_conditions(now: datetime) -> dict[str, Q]:
    """The condition for each status of a held coupon at `now`: AVAILABLE, USED, EXPIRED (unused and past its end)."""
    return {
        UserCouponStatus.AVAILABLE.value: Q(status=UserCouponStatus.AVAILABLE, expires_at__gt=now),
        UserCouponStatus.USED.value: USED,
        EXPIRED: Q(status=UserCouponStatus.AVAILABLE, expires_at__lte=now),
    }


def coupons_of(user_id: int, *, status: str, now: datetime) -> "QuerySet[UserCoupon]":
    """The user's coupons with this status at `now`: AVAILABLE, USED, EXPIRED or ALL."""
    coupons = UserCoupon.objects.filter(user_id=user_id).select_related("coupon")
    return coupons if status == ALL else coupons.filter(status_conditions(now)[status])


def still_held(user_coupon_ids: Collection[int], *, now: datetime) -> set[int]:
    """Those of these held coupons that can be used at `now`."""
    usable = status_conditions(now)[UserCouponStatus.AVAILABLE.value]
    return set(UserCoupon.objects.filter(usable, pk__in=user_coupon_ids).values_list("pk", flat=True))


def held_coupon(user_coupon: UserCoupon) -> HeldCoupon:
    """The row as an object of `rules`; its coupon must be loaded (`coupons_of`)."""
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
    """The status to show: EXPIRED after `expires_at` unless the coupon was used."""
    if user_coupon.status == UserCouponStatus.AVAILABLE and user_coupon.expires_at <= now:
        return EXPIRED
    return user_coupon.status


def latest_holders(coupon_id: int, *, most: int) -> list[UserCoupon]:
    """The latest issues of this coupon with their users, newest first."""
    user_coupons = UserCoupon.objects.filter(coupon_id=coupon_id).select_related("user").order_by("-id")
    return list(user_coupons.only("status", "issued_at", "expires_at", "used_at", "user__username")[:most])


def coupons_called(text: str, number: int | None, *, most: int) -> "list[Coupon]":
    """Up to `most` coupons with this id, or with every word of `text` in their name, case-insensitively."""
    called = Q()
    for word in dict.fromkeys(normal(text).split()):
        called &= Q(name__icontains=word)
    if number is not None:
        called |= Q(pk=number)
    return list(Coupon.objects.filter(called).order_by("-id")[:most])


def sold_out_since(moment: datetime, *, most: int) -> "list[Coupon]":
    """Up to `most` running coupons that are sold out and were last issued after `moment`, newest first."""
    now = timezone.now()
    given = UserCoupon.objects.filter(coupon_id=OuterRef("pk"), issued_at__gte=moment)
    sold_out = Coupon.objects.filter(state_conditions(now)[CouponState.SOLD_OUT])
    return list(sold_out.filter(Exists(given)).order_by("-id")[:most])
