"""The tables of other packages that the SQL of a package names. Import contracts do not see what is inside a string.

Only string constants are read. In this code SQL keywords are written in upper case, and names of tables in lower case.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.apps import apps
from django.conf import settings

PACKAGES = ("balances", "commerce", "coupons", "orders", "products", "reservations", "stats")

ALLOWED = {
    # The archive writes and deletes rows of every table that is archived, in the order that foreign keys need.
    "commerce.archive": {
        *("order", "order_item", "refund", "refund_item", "reservation", "stock_movement", "user_balance_tx"),
        *("outbox_message", "processed_event"),
    },
    # Names of staff with actions, for a filter.
    "commerce.audit": {"user"},
    # Fills an empty database.
    "commerce.demo": {"coupon", "product", "user", "user_coupon"},
    # Compares tables with each other.
    "commerce.invariants": {
        *("user", "user_balance_tx", "product", "stock_movement", "coupon", "user_coupon", "coupon_expiry_notice"),
        *("reservation", "reservation_item", "order", "order_item", "refund", "refund_item"),
        *("product_stat", "processed_event", "counted_until", "final_until"),
        *("outbox_message", "webhook_subscription", "idempotency_key", "ledger_checkpoint", "stock_checkpoint"),
    },
    # Counts rows for /metrics.
    "commerce.monitoring": {"dead_letter", "invariant_check", "webhook_subscription"},
    # The rebuild of a day compares its numbers with the orders, in one statement.
    "stats": {"order", "order_item", "product", "refund"},
}
"""The reviewed list: by package, the tables of other packages that its SQL may name."""

_TABLE = r'(?:ONLY\s+)?"?([a-z_]+)"?'
_ALIAS = r"(?:\s+(?:AS\s+)?[a-z_]+)?"
_NAMED = re.compile(rf"\b(?:FROM|JOIN|INTO|UPDATE|TABLE|TRUNCATE|COPY|USING)\s+{_TABLE}|'([a-z_]+)'::regclass")
_LISTED = re.compile(rf"\b(?:FROM|USING|TABLE|TRUNCATE)\s+{_TABLE}{_ALIAS}(?:\s*,\s*{_TABLE}{_ALIAS})+")


def tables_in(text: str) -> set[str]:
    """The words of a text at the places where SQL has the name of a table."""
    lists = " ".join(f"FROM {part}" for found in _LISTED.finditer(text) for part in found[0].split(",")[1:])
    return {
        name for part in (text, re.sub(r"\s+", " ", lists)) for pair in _NAMED.findall(part) for name in pair if name
    }


def strings_in(source: str) -> Iterator[str]:
    """The string constants of a module, without docstrings."""
    tree = ast.parse(source)
    statements = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in statements:
            yield node.value


def package_of(parts: list[str]) -> str:
    return ".".join(parts[:2]) if parts[0] == "commerce" else parts[0]


def tables_of_other_packages() -> dict[str, set[str]]:
    owners = {model._meta.db_table: package_of(model.__module__.split(".")) for model in apps.get_models()}
    base, found = Path(settings.BASE_DIR), dict[str, set[str]]()
    for path in (path for package in PACKAGES for path in sorted((base / package).rglob("*.py"))):
        parts = [*path.relative_to(base).with_suffix("").parts]
        if {"tests", "migrations"}.isdisjoint(parts):
            package = package_of(parts)
            named = {table for text in strings_in(path.read_text()) for table in tables_in(text) if table in owners}
            found.setdefault(package, set()).update(table for table in named if owners[table] != package)
    return {package: tables for package, tables in found.items() if tables}


def test_sql_names_the_tables_of_other_packages_only_where_reviewed() -> None:
    assert tables_of_other_packages() == ALLOWED


@pytest.mark.parametrize(
    ("text", "tables"),
    [
        ('SELECT FROM "order" JOIN user_coupon AS held USING (id)', {"order", "user_coupon"}),
        ("SELECT FROM ONLY product, stock_movement AS moved, refund", {"product", "stock_movement", "refund"}),
        (
            "INSERT INTO note SELECT 1; UPDATE coupon SET x = 1; DELETE FROM\n  refund",
            {"note", "coupon", "refund"},
        ),
        ("LOCK TABLE user_balance_tx; SELECT 'saved_view'::regclass", {"user_balance_tx", "saved_view"}),
        ("The order of a product that comes from a coupon", set()),
    ],
)
def test_tables_are_found_in_sql(text: str, tables: set[str]) -> None:
    assert tables_in(text) == tables


def test_docstrings_are_no_sql() -> None:
    source = '"""DELETE FROM product"""\nSQL = f"SELECT FROM coupon WHERE {x} AND EXISTS (SELECT FROM refund)"\n'
    assert {table for text in strings_in(source) for table in tables_in(text)} == {"coupon", "refund"}
