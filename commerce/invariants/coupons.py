"""Invariants of coupons, their holders, and the orders that used them."""

from django.utils.translation import gettext_noop

from commerce.invariants.rule import Invariant

ISSUED_COUNT = Invariant(
    "issued_count_is_its_holders",
    gettext_noop("A coupon's count of issued units is the number of customers who got one."),
    """
    SELECT 'coupon ' || coupon.id, format('count %%s, holders %%s', issued_count, coalesce(holders, 0))
    FROM coupon
    LEFT JOIN (SELECT coupon_id, count(*) AS holders FROM user_coupon GROUP BY coupon_id) AS held
           ON held.coupon_id = coupon.id
    WHERE issued_count <> coalesce(holders, 0)
    """,
)

ISSUED_WITHIN_TOTAL = Invariant(
    "issued_within_total",
    gettext_noop("No coupon was issued more often than it has units."),
    """
    SELECT 'coupon ' || id, format('%%s of %%s issued', issued_count, total_quantity)
    FROM coupon WHERE issued_count > total_quantity OR issued_count < 0
    """,
)

ONE_PER_USER = Invariant(
    "one_coupon_per_user",
    gettext_noop("Nobody holds the same coupon twice."),
    """
    SELECT format('coupon %%s, user %%s', coupon_id, user_id), count(*) || ' units'
    FROM user_coupon GROUP BY coupon_id, user_id HAVING count(*) > 1
    """,
)

USED_BY_ONE_ORDER = Invariant(
    "used_coupon_has_its_one_order",
    gettext_noop("A coupon is USED exactly while one order uses it that is neither cancelled nor refunded as a whole."),
    """
    SELECT 'user coupon ' || user_coupon.id, format('%%s with %%s live orders', status, coalesce(orders, 0))
    FROM user_coupon
    LEFT JOIN (
        SELECT user_coupon_id, count(*) AS orders FROM "order"
        WHERE status NOT IN ('CANCELLED', 'REFUNDED') GROUP BY user_coupon_id
    ) AS live ON live.user_coupon_id = user_coupon.id
    WHERE coalesce(orders, 0) <> CASE status WHEN 'USED' THEN 1 ELSE 0 END
      -- Its order may have been archived.
      AND NOT (status = 'USED' AND orders IS NULL
               AND used_at <= coalesce((SELECT moment FROM final_until), '-infinity'))
    """,
)

USED_BY_OWNER = Invariant(
    "coupon_is_used_by_its_owner",
    gettext_noop("An order uses only a coupon of its own customer."),
    """
    SELECT 'order ' || purchase.id, format('user %%s with a coupon of user %%s', purchase.user_id, user_coupon.user_id)
    FROM "order" AS purchase JOIN user_coupon ON user_coupon.id = user_coupon_id
    WHERE user_coupon.user_id <> purchase.user_id
    """,
)

COUPONS = (ISSUED_COUNT, ISSUED_WITHIN_TOTAL, ONE_PER_USER, USED_BY_ONE_ORDER, USED_BY_OWNER)
