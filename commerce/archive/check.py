"""Verification of the archive's files: from the first ledger entry of each account to its checkpoint.

It computes hashes with its own code, like `commerce.invariants.ledger`, so that an error in the writing code is found.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from django.db import transaction

from commerce.archive.files import FileDamaged, PageFile, read_page
from commerce.core import sql

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

PAGES = "SELECT table_name, file_name, sha256, row_count FROM archived_page ORDER BY id"
LEDGER_CHECKPOINTS = "SELECT user_id, entry_id, balance, entry_hash FROM ledger_checkpoint"
STOCK_CHECKPOINTS = "SELECT product_id, movement_id, stock FROM stock_checkpoint"


@dataclass(frozen=True)
class _Wallet:
    """The state of an account: its last entry, the balance and the hash after it."""

    entry_id: int = 0
    balance: int = 0
    entry_hash: bytes = bytes(32)


@dataclass
class Checked:
    """The numbers of files and rows read, and the errors found."""

    files: int = 0
    rows: int = 0
    findings: list[str] = field(default_factory=list)


def check_archive(folder: Path, *, on_file: Callable[[int], object] = lambda _rows: None) -> Checked:
    """Read every recorded file and compare it with the checkpoints.

    Each file must exist unchanged; each archived ledger entry must follow from the previous one, and the last one of an
    account must be its checkpoint; the archived movements of a product must add up to its checkpoint.
    Memory: some hundred bytes for each account. `on_file` receives the number of rows of each file.
    """
    with transaction.atomic(durable=True):
        # One snapshot, because archiving changes files and checkpoints together.
        sql.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        pages = sql.fetch_all(PAGES)
        wallets_due = {row[0]: _Wallet(row[1], row[2], bytes(row[3])) for row in sql.fetch_all(LEDGER_CHECKPOINTS)}
        stocks_due = {row[0]: (row[1], row[2]) for row in sql.fetch_all(STOCK_CHECKPOINTS)}
    checked = Checked()
    wallets: dict[int, _Wallet] = defaultdict(_Wallet)
    stocks: dict[int, tuple[int, int]] = {}
    for table, name, sha256, row_count in pages:
        rows = 0
        try:
            for row in _rows(folder, PageFile(name, bytes(sha256))):
                rows += 1
                if table == "user_balance_tx":
                    _follow(wallets, row, checked)
                elif table == "stock_movement":
                    _, before = stocks.get(row["product_id"], (0, 0))
                    stocks[row["product_id"]] = row["id"], before + row["quantity"]
        except FileDamaged as damage:
            checked.findings.append(str(damage))
        else:
            if rows != row_count:
                checked.findings.append(f"{name}: {rows} rows instead of {row_count}")
        checked.files += 1
        checked.rows += rows
        on_file(rows)
    checked.findings += [
        f"user {user_id}: the archive ends elsewhere than its checkpoint"
        for user_id in sorted(wallets_due.keys() | wallets.keys())
        if wallets_due.get(user_id) != wallets.get(user_id)
    ]
    checked.findings += [
        f"product {product_id}: the archive adds up to something else than its checkpoint"
        for product_id in sorted(stocks_due.keys() | stocks.keys())
        if stocks_due.get(product_id) != stocks.get(product_id)
    ]
    return checked


def _rows(folder: Path, page: PageFile) -> Iterator[dict[str, Any]]:
    for line in read_page(folder, page):
        yield json.loads(line)


def _follow(wallets: dict[int, _Wallet], row: dict[str, Any], checked: Checked) -> None:
    before = wallets[row["user_id"]]
    microseconds = (datetime.fromisoformat(row["created_at"]) - _EPOCH) // _MICROSECOND
    order = "" if row["order_id"] is None else row["order_id"]
    text = f"{row['id']}|{row['user_id']}|{row['type']}|{row['amount']}|{row['balance_after']}|{order}|{microseconds}"
    digest = hashlib.sha256(before.entry_hash + text.encode()).digest()
    stored = bytes.fromhex(row["entry_hash"].removeprefix("\\x"))
    if digest != stored or before.balance + row["amount"] != row["balance_after"]:
        checked.findings.append(
            f"user {row['user_id']}: archived entry {row['id']} does not follow from the one before"
        )
    wallets[row["user_id"]] = _Wallet(row["id"], row["balance_after"], stored)
