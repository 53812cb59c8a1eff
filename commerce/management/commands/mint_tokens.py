"""`manage.py mint_tokens`: prints access tokens of many customers, for load tests.

It needs no password, because its user can read SECRET_KEY anyway.
"""

from argparse import ArgumentTypeError
from collections.abc import Callable
from typing import Any

import orjson
from django.core.management.base import BaseCommand, CommandError, CommandParser

from balances.selectors import open_customer_ids
from commerce.api.authentication import tokens_for
from commerce.core.whole_numbers import whole_number

LARGEST_ID = 2**62
MOST_TOKENS = 1_000_000


class Command(BaseCommand):
    help = (
        'Prints one JSON line per customer, {"userId", "access"}, in the order of the ids. Ids of staff, of closed '
        "accounts and missing ids are skipped, with a note on stderr; exit code 1 if no account is left."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--first", type=_up_to(LARGEST_ID), default=1, help="The first user id (default 1).")
        parser.add_argument("--count", type=_up_to(MOST_TOKENS), default=1000, help="The number of ids (default 1000).")

    def handle(self, *args: Any, **options: Any) -> None:
        first, count = options["first"], options["count"]
        minted = 0
        for user_id in open_customer_ids(first_id=first, last_id=first + count - 1):
            tokens = tokens_for(user_id=user_id, is_staff=False)
            self.stdout.write(orjson.dumps({"userId": user_id, "access": tokens.access}).decode())
            minted += 1
        if minted < count:
            self.stderr.write(f"{count - minted} of the {count} ids from {first} are not open customer accounts.")
        if not minted:
            raise CommandError("No token was minted.")


def _up_to(most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        number = whole_number(text, most=most)
        if not number:
            raise ArgumentTypeError(f"{text!r} is not a whole number from 1 to {most}")
        return number

    return parse
