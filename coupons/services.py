"""Use cases of coupons: issue, edit terms, notify holders. Each acquires its locks and opens its transaction."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from django.utils import timezone
from django.utils.translation import gettext_noop

from commerce.audit.record import Staff, record
from commerce.core.locks import coupon_lock, locked_transaction
from commerce.core.transaction import Transaction
from commerce.idempotency.commit import Idempotency, commit_once
from commerce.outbox.selectors import is_told
from coupons import operations
from coupons.events import COUPON_EXPIRING
from coupons.models import Coupon
from coupons.rules import HeldCoupon

ADDED = gettext_noop("Added")
CHANGED = gettext_noop("Changed")
STOPPED = gettext_noop("Stopped")


def issue_coupon(*, user_id: int, coupon_id: int, idempotency: Idempotency) -> HeldCoupon:
    """Issue the coupon to the user, first come, first served, one per user.

    Raises CouponNotFound, UserNotFound, CouponNotOpen, CouponAlreadyIssued, CouponSoldOut, LockTimeout.
    """
    return commit_once(IssueCoupon(user_id, coupon_id), idempotency)


@dataclass(frozen=True, slots=True)
class IssueCoupon:
    """See `issue_coupon`."""

    user_id: int
    coupon_id: int

    def locks(self) -> list[str]:
        return [coupon_lock(self.coupon_id)]

    def load(self, transaction: Transaction) -> None:
        operations.will_issue(transaction, user_id=self.user_id, coupon_id=self.coupon_id)

    def decide(self, transaction: Transaction) -> HeldCoupon:
        return operations.issue(transaction, user_id=self.user_id, coupon_id=self.coupon_id)


def create_coupon(coupon: Coupon, *, by: Staff, idempotency: Idempotency) -> Coupon:
    """Create a coupon with an `issued_count` of 0."""
    with locked_transaction(*idempotency.locks) as transaction:
        coupon.issued_count = 0
        coupon.save(force_insert=True)
        record(by, ADDED, coupon, after=operations.terms_of(coupon))
        idempotency.remember(transaction, coupon)
    return coupon


def save_coupon(coupon: Coupon, *, by: Staff, seen: Mapping[str, object] | None = None) -> Coupon:
    """Change a coupon's terms. Once issued, only its name, a larger quantity and other end times are accepted.

    A later `valid_until` applies to held coupons as well, an earlier one does not.

    `seen`: the terms that the change is based on; a term that differs now raises ChangedMeanwhile.
    Raises CouponNotFound, CouponTermsFixed, ChangedMeanwhile, LockTimeout.
    """
    if operations.ends_later(coupon, seen=seen or {}):
        # A million holders take seconds, so the coupon is not locked meanwhile: it can still be issued. Each step is a
        # transaction of its own; if the process dies, saving again extends the rest.
        for _last_user_id in operations.extend_holders(coupon):
            pass
    with locked_transaction(coupon_lock(coupon.pk)):
        before = operations.save_terms(coupon, seen=seen or {})
        record(by, CHANGED, coupon, before=operations.terms_of(before), after=operations.terms_of(coupon))
    return coupon


def notice_expiring(
    *, days: int, stopping: Callable[[], bool] = lambda: False, on_batch: Callable[[int], object] = lambda _count: None
) -> int:
    """Notify the holder of each unused coupon that expires within `days` days, once; return the number of notices.

    Works in batches, each a transaction with its outbox messages; after a crash the next run continues. Does nothing
    while the event would have no message, by e-mail or to a webhook, so no notice is marked as sent.
    """
    if not days or not is_told(COUPON_EXPIRING):
        return 0
    now = timezone.now()
    notified, after = 0, 0
    while not stopping():
        with locked_transaction() as transaction:
            batch = operations.notice_expiring(transaction, now=now, until=now + timedelta(days=days), after=after)
        if batch is None:
            break
        after, count = batch
        notified += count
        on_batch(count)
    return notified


def stop_coupon(*, coupon_id: int, by: Staff, idempotency: Idempotency) -> Coupon:
    """End a running issue window now. Held coupons stay valid.

    Raises CouponNotFound, CouponNotRunning, LockTimeout.
    """
    with locked_transaction(coupon_lock(coupon_id), *idempotency.locks) as transaction:
        coupon, ended_at = operations.stop(coupon_id, now=timezone.now())
        record(by, STOPPED, coupon, before={"issue_ends_at": ended_at}, after={"issue_ends_at": coupon.issue_ends_at})
        idempotency.remember(transaction, coupon)
    return coupon
