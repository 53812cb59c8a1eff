"""`manage.py load_demo`: a shop to try things in. Never touches a shop that has rows of its own."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from commerce.demo.load import Outcome, load_demo
from commerce.demo.rows import ADMIN_PASSWORD, CUSTOMER_PASSWORD
from commerce.demo.week import CUSTOMERS


class Command(BaseCommand):
    requires_system_checks = ()
    help = (
        "Loads the demo shop into an empty database, once: customers, products, coupons and a week of orders. "
        "A second run changes nothing. Exit code 1 where the shop has rows of its own."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--if-empty", action="store_true", help="Exit code 0 as well where the shop has rows of its own."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        outcome = load_demo()
        if outcome is Outcome.LOADED:
            self.stdout.write(
                f"Demo loaded: customer1 to customer{CUSTOMERS} (password {CUSTOMER_PASSWORD}), "
                f"staff admin (password {ADMIN_PASSWORD})."
            )
        elif outcome is Outcome.THERE_ALREADY:
            self.stdout.write("The demo is there already; nothing was changed.")
        elif options["if_empty"]:
            self.stdout.write("The shop has rows of its own; nothing was changed.")
        else:
            raise CommandError("The shop has rows of its own. The demo is loaded only into an empty one.")
