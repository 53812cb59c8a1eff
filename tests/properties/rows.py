"""All rows of the shop: the expected ones of the model, and the actual ones.

Contains the compared columns. Rows are not changed, except that all are deleted between two examples.
"""

import json
from datetime import UTC, datetime
from typing import Any

from django.db import connection

from tests.properties.model_shop import JSON, ModelShop
from tests.properties.wire import Wire
from tests.shop_state import TABLES

Rows = dict[str, list[JSON]]

# Columns by table, and the sort order of the rows.
COLUMNS = {
    "user": ("id, balance, is_active", "id"),
    "user_balance_tx": ("id, user_id, type, amount, balance_after, order_id, refund_id, created_at", "id"),
    "product": ("id, name, price, stock, is_active", "id"),
    "stock_movement": ("product_id, reason, quantity, order_id, refund_id, actor_id, note, created_at", "id"),
    "coupon": (
        """id, name, discount_type, discount_value, max_discount, min_order_amount, total_quantity, issue_starts_at,
        issue_ends_at, valid_until, issued_count""",
        "id",
    ),
    "user_coupon": ("id, user_id, coupon_id, status, issued_at, expires_at, used_at", "id"),
    "order": (
        """id, user_id, status, total_amount, discount_amount, paid_amount, user_coupon_id, ordered_date, created_at,
        completed_at, cancelled_at, refunded_amount, refunded_units""",
        "id",
    ),
    "order_item": ("order_id, product_id, product_name, unit_price, quantity, refunded_quantity", "id"),
    "refund": ("id, order_id, amount, restock, reason, staff_id, created_at", "id"),
    "refund_item": ("refund_id, product_id, quantity, amount", "id"),
    "idempotency_key": ("caller_id, key, status, created_at", "caller_id, key"),
    "outbox_message": (
        "event_id, type, aggregate_type, aggregate_id, destination, payload::json AS payload",
        "id",
    ),
}
TIMES = {"created_at", "issue_starts_at", "issue_ends_at", "valid_until", "issued_at", "expires_at", "used_at"} | {
    "completed_at",
    "cancelled_at",
}
# One statement, because it is executed after every step.
READ_ALL = "SELECT json_build_object({})".format(  # our own text
    ", ".join(
        f"""'{table}', coalesce((SELECT json_agg(row_to_json(one)) FROM
            (SELECT {columns} FROM "{table}" ORDER BY {order}) AS one), '[]')"""  # noqa: S608  # names from the list above
        for table, (columns, order) in COLUMNS.items()
    )
)
CLEAR = "TRUNCATE {} RESTART IDENTITY CASCADE".format(", ".join(f'"{table}"' for table in TABLES))


def clear_all() -> None:
    """An empty shop whose ids start at 1, so that an example does not depend on earlier ones."""
    with connection.cursor() as cursor:
        cursor.execute(CLEAR)


def rows_that_are() -> Rows:
    with connection.cursor() as cursor:
        cursor.execute(READ_ALL)
        (found,) = cursor.fetchone()
    rows: Rows = json.loads(found) if isinstance(found, str) else found
    for table in rows.values():
        for row in table:
            for name in TIMES & row.keys():
                row[name] = datetime.fromisoformat(row[name]) if row[name] else None
    return {**rows, "outbox_message": _by_key(rows["outbox_message"])}


def rows_that_should_be(shop: ModelShop, answers: list[JSON]) -> Rows:
    """`answers` are the rows of the idempotency keys. The caller compares the rows."""
    wire = Wire(shop)
    return {
        "user": [
            {"id": each.id, "balance": each.balance, "is_active": each.is_open} for each in _sorted(shop.accounts)
        ],
        "user_balance_tx": [dict(vars(entry)) for entry in shop.ledger],
        "product": [
            {"id": each.id, "name": each.name, "price": each.price, "stock": each.stock, "is_active": each.for_sale}
            for each in _sorted(shop.wares)
        ],
        "stock_movement": shop.movements,
        "coupon": [{"id": each.id, **vars(each.terms), "issued_count": each.issued} for each in _sorted(shop.offers)],
        "user_coupon": [
            {
                "id": each.id,
                "user_id": each.user_id,
                "coupon_id": each.offer.id,
                # Expiry is not stored: it follows from the time.
                "status": "USED" if each.used_at else "AVAILABLE",
                "issued_at": each.issued_at,
                "expires_at": each.expires_at,
                "used_at": each.used_at,
            }
            for each in shop.held
        ],
        "order": [
            {
                "id": each.id,
                "user_id": each.user_id,
                "status": each.status,
                "total_amount": each.total,
                "discount_amount": each.discount,
                "paid_amount": each.paid,
                "user_coupon_id": each.held.id if each.held else None,
                "ordered_date": each.day.isoformat(),
                "created_at": each.created_at,
                "completed_at": each.created_at,
                "cancelled_at": each.cancelled_at,
                "refunded_amount": each.refunded,
                "refunded_units": each.refunded_units,
            }
            for each in shop.purchases
        ],
        "order_item": [
            {
                "order_id": each.id,
                "product_id": line["productId"],
                "product_name": line["productName"],
                "unit_price": line["unitPrice"],
                "quantity": line["quantity"],
                "refunded_quantity": line["refundedQuantity"],
            }
            for each in shop.purchases
            for line in each.lines
        ],
        "refund": [
            {
                "id": each.id,
                "order_id": each.purchase.id,
                "amount": each.amount,
                "restock": each.restock,
                "reason": each.reason,
                "staff_id": each.staff_id,
                "created_at": each.created_at,
            }
            for each in shop.refunds
        ],
        "refund_item": [
            {
                "refund_id": each.id,
                "product_id": line["productId"],
                "quantity": line["quantity"],
                "amount": line["amount"],
            }
            for each in shop.refunds
            for line in each.lines
        ],
        "idempotency_key": answers,
        "outbox_message": _by_key([message for fact in shop.facts for message in wire.messages(fact)]),
    }


def difference(are: Rows, should_be: Rows) -> str:
    """Unexpected and missing rows; empty if there are none."""
    differences = []
    for table, expected in should_be.items():
        if are[table] != expected:
            too_many = [row for row in are[table] if row not in expected]
            missing = [row for row in expected if row not in are[table]]
            differences.append(f"{table}: is {_shown(too_many)}, should be {_shown(missing)}")
    return "\n".join(differences)


def _by_key(messages: list[JSON]) -> list[JSON]:
    # Messages are ordered within a destination, a topic and a user's key; no other order is guaranteed.
    return sorted(messages, key=lambda each: (each["destination"], each["type"], each["aggregate_id"]))


def _sorted(by_id: dict[int, Any]) -> list[Any]:
    return [by_id[key] for key in sorted(by_id)]


def _shown(rows: list[JSON]) -> str:
    return str(
        [{name: _time(value) if isinstance(value, datetime) else value for name, value in row.items()} for row in rows]
    )


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()
