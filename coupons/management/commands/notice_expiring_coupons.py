"""`manage.py notice_expiring_coupons`: notify holders of coupons that expire soon (`coupons.services`)."""

from collections.abc import Callable

from django.conf import settings

from commerce.core.repeated import CountingCommand
from coupons.services import notice_expiring


class Command(CountingCommand):
    help = (
        "Write a message for the holder of each unused coupon that expires within COUPON_EXPIRY_NOTICE_DAYS, once for "
        "each coupon. Can be repeated and run concurrently with itself. Does nothing while e-mail is off and no "
        "webhook is subscribed to these events. With --every: repeat until SIGTERM or Ctrl-C; while the database is "
        "unavailable, wait for the next run."
    )
    # A day: with a longer interval a coupon could expire without a notice.
    most_minutes = 1_440
    unit = "coupon"
    counted = "notified"
    failed = "Expiring coupons could not be selected, next try in %.0f s: %s"
    ended = "Stopped"

    def turn(self, stopping: Callable[[], bool], on_batch: Callable[[int], object]) -> int:
        return notice_expiring(days=settings.COUPON_EXPIRY_NOTICE_DAYS, stopping=stopping, on_batch=on_batch)

    def sentence(self, count: int) -> str:
        return f"{count} holders of coupons were notified"
