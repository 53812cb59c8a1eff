"""Timeline entries and totals of coupons on a customer's page."""

from collections.abc import Iterator
from datetime import datetime

from django.db.models import Count
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from commerce.staff_pages.paging import MOST_ROWS_COUNTED
from commerce.staff_pages.timeline import Mark, May, TimelineEntry, TimelineSource, Total, add_timeline_source
from coupons.admin.user_coupons import STATUS_COLOURS, status_name
from coupons.models import UserCoupon
from coupons.selectors import USED, status_at


def _moments(user_id: int, before: datetime | None, most: int, _may: May) -> Iterator[TimelineEntry]:
    user_coupons = UserCoupon.objects.filter(user_id=user_id).select_related("coupon")
    if before is not None:
        user_coupons = user_coupons.filter(issued_at__lt=before)
    now = timezone.now()
    for user_coupon in user_coupons.order_by("-id")[:most]:
        status = status_at(user_coupon, now)
        used = "" if user_coupon.used_at is None else _("used at %(time)s") % {"time": _time(user_coupon.used_at)}
        yield TimelineEntry(
            user_coupon.issued_at,
            "sell",
            _("Coupon issued: %(coupon)s") % {"coupon": user_coupon.coupon.name},
            used or _("usable until %(time)s") % {"time": _time(user_coupon.expires_at)},
            reverse("admin:coupons_usercoupon_change", args=[user_coupon.pk]),
            [Mark(status_name(status), STATUS_COLOURS[status])],
        )


def _totals(user_id: int, _may: May) -> Iterator[Total]:
    newest = UserCoupon.objects.filter(user_id=user_id).order_by("-id")[:MOST_ROWS_COUNTED]
    found = newest.aggregate(issued=Count("pk"), used=Count("pk", filter=USED))
    address = f"{reverse('admin:coupons_usercoupon_changelist')}?user__id__exact={user_id}"
    yield Total(_("Coupons issued"), f"{found['issued']:,}", address)
    yield Total(_("Coupons used"), f"{found['used']:,}", f"{address}&status=USED")


def _time(at: datetime) -> str:
    return f"{timezone.localtime(at):%Y-%m-%d %H:%M}"


add_timeline_source("coupons", TimelineSource("coupons.view_usercoupon", _moments, _totals))
