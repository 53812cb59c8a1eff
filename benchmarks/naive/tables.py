"""The tables of the usual implementation, filled from the data set."""

import sys

import psycopg

from benchmarks.books import number
from benchmarks.errors import BenchmarkFailed
from benchmarks.servers import Servers

_FILL = """
    INSERT INTO naive.naive_customer (id, password, username, is_active, balance)
        SELECT id, '!', username, true, balance FROM public."user";
    INSERT INTO naive.naive_product (id, name, description, price, stock)
        SELECT id, name, description, price, stock FROM public.product;
    INSERT INTO naive.naive_coupon (id, name, discount_value, total_quantity, issued_count)
        SELECT id, name, discount_value, total_quantity, issued_count FROM public.coupon;
    INSERT INTO naive.naive_usercoupon (id, user_id, coupon_id, status, issued_at)
        SELECT id, user_id, coupon_id, 'AVAILABLE', issued_at FROM public.user_coupon WHERE id = user_id;
    SELECT setval('naive.naive_usercoupon_id_seq', (SELECT max(id) FROM naive.naive_usercoupon));
    SELECT setval('naive.naive_coupon_id_seq', (SELECT max(id) FROM naive.naive_coupon));
    ANALYZE naive.naive_customer, naive.naive_product, naive.naive_usercoupon;
"""
_NEW_COUPON = """
    INSERT INTO naive.naive_coupon (name, discount_value, total_quantity, issued_count)
    VALUES ('Hot coupon', 100, %(units)s, 0) RETURNING id
"""
SETTINGS = {"DJANGO_SETTINGS_MODULE": "benchmarks.naive.settings"}


def make_tables(servers: Servers, connection: psycopg.Connection) -> None:
    """Create the schema `naive` and fill it. Raises BenchmarkFailed."""
    connection.execute("DROP SCHEMA IF EXISTS naive CASCADE")
    connection.execute("CREATE SCHEMA naive")
    command = [sys.executable, "-m", "django", "migrate", "--noinput", "--skip-checks", "--run-syncdb"]
    done = servers.run(command, environment=SETTINGS)
    if done.returncode:
        raise BenchmarkFailed(f"The tables of the usual implementation cannot be made:\n{done.stdout}{done.stderr}")
    connection.execute(_FILL.encode())


def new_coupon(connection: psycopg.Connection, *, units: int) -> int:
    """A coupon with `units` units. Returns its id."""
    return number(connection, _NEW_COUPON, {"units": units})
