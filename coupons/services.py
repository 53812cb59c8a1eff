"""What a customer does with a coupon, and staff with its terms.

Owns the locks and the transaction of each use case; the statements are in `operations`.
"""

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
    """Give the user one unit of the coupon, first come, first served, one per user.

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
    """Put out a new coupon, of which nobody has one yet."""
    with locked_transaction(*idempotency.locks) as transaction:
        coupon.issued_count = 0
        coupon.save(force_insert=True)
        record(by, ADDED, coupon, after=operations.terms_of(coupon))
        idempotency.remember(transaction, coupon)
    return coupon


def save_coupon(coupon: Coupon, *, by: Staff, seen: Mapping[str, object] | None = None) -> Coupon:
    """Change a coupon's terms. Once issued, only its name, more units and later or earlier ends are left.

    A later `valid_until` reaches those who hold one, an earlier one does not.

    `seen`: what some of its terms were when the change was decided; None: whatever they are now.
    Raises CouponNotFound, CouponTermsFixed, ChangedMeanwhile, LockTimeout.
    """
    if operations.ends_later(coupon, seen=seen or {}):
        # A million holders take seconds, in which nobody could get one if the coupon were locked. Each step is a
        # transaction of its own; if the process dies, saving again reaches the rest.
        for _last_user_id in operations.extend_holders(coupon):
            pass
    with locked_transaction(coupon_lock(coupon.pk)):
        before = operations.save_terms(coupon, seen=seen or {})
        record(by, CHANGED, coupon, before=operations.terms_of(before), after=operations.terms_of(coupon))
    return coupon


def notice_expiring(
    *, days: int, stopping: Callable[[], bool] = lambda: False, on_batch: Callable[[int], object] = lambda _count: None
) -> int:
    """Tell the holder of each unused coupon that ends within so many days, once; returns how many were told.

    In batches, each a transaction with its messages: what dies in between is found by the next turn. Does nothing where
    nobody is told of such events, by e-mail or by a webhook, so that they are told once somebody is.
    """
    if not days or not is_told(COUPON_EXPIRING):
        return 0
    now = timezone.now()
    told, after = 0, 0
    while not stopping():
        with locked_transaction() as transaction:
            batch = operations.notice_expiring(transaction, now=now, until=now + timedelta(days=days), after=after)
        if batch is None:
            break
        after, count = batch
        told += count
        on_batch(count)
    return told


def stop_coupon(*, coupon_id: int, by: Staff, idempotency: Idempotency) -> Coupon:
    """End a running window now. Issued coupons stay valid; no more are issued.

    Raises CouponNotFound, CouponNotRunning, LockTimeout.
    """
    with locked_transaction(coupon_lock(coupon_id), *idempotency.locks) as transaction:
        coupon, ended_at = operations.stop(coupon_id, now=timezone.now())
        record(by, STOPPED, coupon, before={"issue_ends_at": ended_at}, after={"issue_ends_at": coupon.issue_ends_at})
        idempotency.remember(transaction, coupon)
    return coupon
