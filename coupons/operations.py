"""Issuing, using and releasing coupons, inside the caller's transaction.

The statements that lock, read and write coupons; the rules are in `rules.LimitedCoupon` and `rules.HeldCoupon`.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime

from balances.operations import OpenAccounts
from commerce.core import sql
from commerce.core.errors import require_unchanged
from commerce.core.pipeline import Rows, Statement
from commerce.core.transaction import LockedRows, NewRows, Table, Transaction, as_json
from commerce.outbox.publish import publish
from coupons.errors import CouponNotFound, CouponNotRunning, CouponNotUsable, CouponTermsFixed, Unusable
from coupons.events import coupon_expiring, coupon_issued
from coupons.models import TERMS, Coupon
from coupons.rules import FIXED_ONCE_ISSUED, HeldCoupon, LimitedCoupon

HOLDERS_AT_ONCE = 5_000
"""Held coupons updated by one statement; small, so that orders do not wait long for their rows."""

EXTEND = """
    WITH held AS (
        SELECT id, user_id FROM user_coupon
        WHERE coupon_id = %(coupon_id)s AND user_id > %(after)s AND expires_at < %(until)s
        ORDER BY user_id LIMIT %(most)s FOR NO KEY UPDATE
    ), extended AS (
        UPDATE user_coupon SET expires_at = %(until)s FROM held WHERE user_coupon.id = held.id
    )
    SELECT max(user_id) FROM held
"""


NOTICES_AT_ONCE = 500

# SKIP LOCKED leaves out a coupon that an order is using; the next run finds it if the order fails. ON CONFLICT covers
# notices that another process has written since this statement's snapshot.
NOTICE = """
    WITH due AS MATERIALIZED (
        SELECT id, user_id, coupon_id, status, issued_at, expires_at, used_at FROM user_coupon
        WHERE expires_at > %(now)s AND expires_at <= %(until)s AND status = 'AVAILABLE' AND id > %(after)s
          AND NOT EXISTS (SELECT FROM coupon_expiry_notice WHERE user_coupon_id = user_coupon.id)
        ORDER BY id LIMIT %(most)s FOR NO KEY UPDATE SKIP LOCKED
    ), noticed AS (
        INSERT INTO coupon_expiry_notice (user_coupon_id, noticed_at) SELECT id, %(now)s FROM due
        ON CONFLICT DO NOTHING RETURNING user_coupon_id
    )
    SELECT due.id, user_id, coupon_id, status, issued_at, expires_at, used_at,
           name, discount_type, discount_value, max_discount, min_order_amount,
           EXISTS (SELECT FROM noticed WHERE user_coupon_id = due.id)
    FROM due JOIN coupon ON coupon.id = coupon_id ORDER BY due.id
"""


class Coupons(LockedRows[LimitedCoupon]):
    """The coupons of which one is issued."""

    lock_order = 30
    row = LimitedCoupon
    LOCK = """
        SELECT id, name, discount_type, discount_value, max_discount, min_order_amount, total_quantity, issued_count,
               issue_starts_at, issue_ends_at, valid_until
        FROM coupon WHERE id = ANY(%s::bigint[]) ORDER BY id FOR NO KEY UPDATE
    """
    EXIST = "SELECT id FROM coupon WHERE id = ANY(%s::bigint[])"
    # A delta, not a new value: even without the row lock a constraint would stop the count at `total_quantity`.
    SAVE = """
        UPDATE coupon SET issued_count = issued_count + issued
        FROM jsonb_to_recordset(%s::jsonb) AS saved (id bigint, issued integer)
        WHERE coupon.id = saved.id
    """


class HeldCoupons(LockedRows[HeldCoupon]):
    """The held coupons that are used or released."""

    lock_order = 40
    row = HeldCoupon
    LOCK = """
        SELECT user_coupon.id, user_id, coupon_id, status, issued_at, expires_at, used_at,
               name, discount_type, discount_value, max_discount, min_order_amount
        FROM user_coupon JOIN coupon ON coupon.id = coupon_id
        WHERE user_coupon.id = ANY(%s::bigint[]) ORDER BY user_coupon.id FOR NO KEY UPDATE OF user_coupon
    """
    EXIST = "SELECT id FROM user_coupon WHERE id = ANY(%s::bigint[])"
    SAVE = """
        UPDATE user_coupon SET status = saved.status, used_at = saved.used_at
        FROM jsonb_to_recordset(%s::jsonb) AS saved (id bigint, status text, used_at timestamptz)
        WHERE user_coupon.id = saved.id
    """


class IssuedCoupons(NewRows):
    """The new held coupons."""

    SEQUENCE = "user_coupon_id_seq"
    INSERT = """
        INSERT INTO user_coupon (id, user_id, coupon_id, status, issued_at, expires_at)
        SELECT * FROM jsonb_to_recordset(%s::jsonb) AS added (
            id bigint, user_id bigint, coupon_id bigint, status text, issued_at timestamptz, expires_at timestamptz
        )
    """


class Holders(Table):
    """Which of the requesting customers hold the coupon already."""

    lock_order = 35
    """Read after the coupon's row is locked, so that none is issued in between."""

    def __init__(self) -> None:
        self._asked: list[dict[str, int]] = []
        self._holders: set[tuple[int, int]] = set()

    def ask(self, user_id: int, coupon_id: int) -> None:
        self._asked.append({"user_id": user_id, "coupon_id": coupon_id})

    def has_one(self, user_id: int, coupon_id: int) -> bool:
        return (user_id, coupon_id) in self._holders

    def add(self, user_id: int, coupon_id: int) -> None:
        """The last step of an issue, so it needs no undo."""
        self._holders.add((user_id, coupon_id))

    def read(self) -> Statement | None:
        if not self._asked:
            return None
        return Statement(
            """
            SELECT user_id, coupon_id FROM user_coupon
            JOIN jsonb_to_recordset(%s::jsonb) AS asked (user_id bigint, coupon_id bigint) USING (user_id, coupon_id)
            """,
            (as_json(self._asked),),
        )

    def accept(self, rows: Rows) -> None:
        self._holders = {(user_id, coupon_id) for user_id, coupon_id in rows}


def will_issue(transaction: Transaction, *, user_id: int, coupon_id: int) -> None:
    """Load what `issue` needs."""
    transaction[Coupons].want((coupon_id,))
    transaction[Holders].ask(user_id, coupon_id)
    transaction[OpenAccounts].want((user_id,))
    transaction[IssuedCoupons].reserve(1)


def issue(transaction: Transaction, *, user_id: int, coupon_id: int) -> HeldCoupon:
    """Issue the coupon to the user.

    Raises CouponNotFound, UserNotFound, CouponAlreadyIssued, CouponNotOpen, CouponSoldOut.
    """
    coupon = transaction[Coupons].get(coupon_id)
    if coupon is None:
        raise CouponNotFound(coupon_id)
    transaction[OpenAccounts].require(user_id)
    held = coupon.issue_to(
        user_id,
        has_one=transaction[Holders].has_one(user_id, coupon_id),
        user_coupon_id=transaction[IssuedCoupons].next_id(),
        now=transaction.now,
    )
    transaction[IssuedCoupons].add(held)
    publish(transaction, coupon_issued(held))
    transaction[Holders].add(user_id, coupon_id)
    return held


def will_redeem(transaction: Transaction, user_coupon_id: int) -> None:
    """Load what `redeem` and `release` need."""
    transaction[HeldCoupons].want((user_coupon_id,))


def redeem(transaction: Transaction, *, user_id: int, user_coupon_id: int, total_amount: int) -> int:
    """Use the coupon for an order of `total_amount` won and return the discount in won.

    Raises CouponNotUsable with the reason.
    """
    held = transaction[HeldCoupons].get(user_coupon_id)
    if held is None:
        raise CouponNotUsable(Unusable.NOT_OWNED)
    return held.redeem(user_id=user_id, total_amount=total_amount, now=transaction.now)


def release(transaction: Transaction, user_coupon_id: int) -> None:
    """Undo the use of a coupon."""
    held = transaction[HeldCoupons].get(user_coupon_id)
    if held is not None:
        held.release()


def notice_expiring(transaction: Transaction, *, now: datetime, until: datetime, after: int) -> tuple[int, int] | None:
    """Notify the holders of the next batch of unused coupons that expire by `until`, each once.

    Ids ascending, above `after`. Returns the last id and the number of notices; None if there are no more.
    """
    values = {"now": now, "until": until, "after": after, "most": NOTICES_AT_ONCE}
    rows = sql.fetch_all(NOTICE, values)
    noticed = [HeldCoupon(*row[:-1]) for row in rows if row[-1]]
    for held in noticed:
        publish(transaction, coupon_expiring(held, noticed_at=now))
    return (rows[-1][0], len(noticed)) if rows else None


def terms_of(coupon: Coupon) -> dict[str, object]:
    """The values of `TERMS` by name."""
    return {name: getattr(coupon, name) for name in TERMS}


def save_terms(coupon: Coupon, *, seen: Mapping[str, object]) -> Coupon:
    """Write a coupon's terms, but not its count, and return the coupon as it was before the change.

    The row is locked first, so no unit is issued meanwhile. A later `valid_until` reaches those who hold one.
    Raises CouponNotFound, ChangedMeanwhile where a term is
    not any more what was `seen`, CouponTermsFixed for a change that those who hold one need not accept.
    """
    stored = _locked(coupon.pk)
    _require_allowed(coupon, stored, seen)
    coupon.save(update_fields=TERMS)
    if coupon.valid_until > stored.valid_until:
        # With the coupon locked, none is issued with the earlier end any more.
        for _last_user_id in extend_holders(coupon):
            pass
    return stored


def ends_later(coupon: Coupon, *, seen: Mapping[str, object]) -> bool:
    """Whether `save_terms` would extend held coupons. Raises the errors of `save_terms`."""
    stored = Coupon.objects.filter(pk=coupon.pk).first()
    if stored is None:
        raise CouponNotFound(coupon.pk)
    _require_allowed(coupon, stored, seen)
    return coupon.valid_until > stored.valid_until


def extend_holders(coupon: Coupon) -> Iterator[int]:
    """Extend held coupons to the coupon's `valid_until`; a later `expires_at` stays.

    A statement for each step, which yields the last user it has reached. A coupon that is used at present is extended
    too: it may come back with a cancelled order.
    """
    values = {"coupon_id": coupon.pk, "until": coupon.valid_until, "most": HOLDERS_AT_ONCE}
    last_user_id = 0
    while last_user_id is not None:
        (last_user_id,) = sql.fetch_one(EXTEND, {**values, "after": last_user_id}) or (None,)
        if last_user_id is not None:
            yield last_user_id


def _require_allowed(coupon: Coupon, stored: Coupon, seen: Mapping[str, object]) -> None:
    require_unchanged(stored, seen)
    if stored.issued_count:
        changed = [name for name in FIXED_ONCE_ISSUED if getattr(coupon, name) != getattr(stored, name)]
        if changed or coupon.total_quantity < stored.total_quantity:
            raise CouponTermsFixed


def stop(coupon_id: int, *, now: datetime) -> tuple[Coupon, datetime]:
    """End a running window at `now`; return the coupon and its previous end.

    Raises CouponNotFound, and CouponNotRunning for a window that has not begun or is over.
    """
    coupon = _locked(coupon_id)
    ends_at = coupon.issue_ends_at
    if not coupon.issue_starts_at < now < ends_at:
        raise CouponNotRunning
    coupon.issue_ends_at = now
    coupon.save(update_fields=["issue_ends_at"])
    return coupon, ends_at


def _locked(coupon_id: int) -> Coupon:
    coupon = Coupon.objects.select_for_update(no_key=True).filter(pk=coupon_id).first()
    if coupon is None:
        raise CouponNotFound(coupon_id)
    return coupon
