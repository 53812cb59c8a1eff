"""`manage.py load_demo`: loads the demo data into an empty database. Never changes existing rows."""

from argparse import ArgumentTypeError
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from commerce.core.whole_numbers import whole_number
from commerce.demo.assortment import Assortment
from commerce.demo.load import Outcome, load_demo, load_large_demo, tidy_tables
from commerce.demo.rows import ADMIN_PASSWORD, CUSTOMER_PASSWORD
from commerce.demo.staff import STAFF, STAFF_PASSWORD
from commerce.demo.week import CUSTOMERS

MOST_ORDERS = 10_000_000


class Command(BaseCommand):
    requires_system_checks = ()
    help = (
        "Loads the demo shop into an empty database, once: customers, products, coupons and a week of orders; with "
        "--orders a year with that many orders. A second run changes nothing. Exit code 1 if the database contains "
        "rows."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--if-empty", action="store_true", help="Exit with 0 if the database already contains rows."
        )
        parser.add_argument(
            "--orders",
            type=_orders,
            metavar="N",
            help=f"Data for measurements: N orders (up to {MOST_ORDERS:,}) and about five ledger entries each, with "
            "customers and products in proportion. A million takes some minutes and about 3 GB.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        orders: int | None = options["orders"]
        outcome = load_demo() if orders is None else _load_large(orders)
        if outcome is Outcome.LOADED:
            customers = CUSTOMERS if orders is None else Assortment(orders).customers
            self.stdout.write(
                f"Demo loaded: customer1 to customer{customers} (password {CUSTOMER_PASSWORD}), "
                f"staff admin (password {ADMIN_PASSWORD}), {', '.join(STAFF)} (password {STAFF_PASSWORD})."
            )
        elif outcome is Outcome.THERE_ALREADY:
            self.stdout.write("The demo data is loaded already; nothing was changed.")
        elif options["if_empty"]:
            self.stdout.write("The database already contains rows; nothing was changed.")
        else:
            raise CommandError("The database already contains rows. The demo data requires an empty one.")


# `disable=None`: progress is shown on a terminal only.
def _load_large(orders: int) -> Outcome:
    with tqdm(total=orders, desc="orders", unit="order", unit_scale=True, disable=None) as progress:
        outcome = load_large_demo(orders=orders, on_progress=progress.update)
        if outcome is Outcome.LOADED:
            for table in tidy_tables():
                progress.set_description(f"tidying {table}")
    return outcome


def _orders(text: str) -> int:
    number = whole_number(text, most=MOST_ORDERS)
    if not number:
        raise ArgumentTypeError(f"{text!r} is not a number from 1 to {MOST_ORDERS}")
    return number
