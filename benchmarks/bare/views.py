"""Prepared bytes, and one row by its primary key."""

import os
from pathlib import Path

import orjson
from django.db import connection
from django.http import HttpRequest, HttpResponse

_BODIES = {file.name: file.read_bytes() for file in Path(os.environ["BENCH_BODIES"]).iterdir()}


def fixed(request: HttpRequest, name: str) -> HttpResponse:
    """The bytes of the shop's response for the line of this name."""
    return HttpResponse(_BODIES[name], content_type="application/json")


def balance(request: HttpRequest, account_id: int) -> HttpResponse:
    """One SELECT by primary key."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT balance FROM bench.account WHERE id = %s", [account_id])
        (won,) = cursor.fetchone()
    return HttpResponse(orjson.dumps({"userId": account_id, "balance": won}), content_type="application/json")
