"""Commands that serve no page do not import those of the back-office and of the API, which would slow their start."""

import sys

from django.contrib import admin

import commerce.urls  # noqa: F401  # registers the pages, whichever test runs first
from tests.security.test_settings import run

LASTING = (
    *("archive", "check_invariants", "consume_orders", "expire_reservations", "notice_expiring_coupons"),
    *("purge_idempotency_keys", "relay_outbox"),
)
"""The commands that run beside the web server, or again and again."""

SCRIPT = """
import sys
import django
from django.contrib import admin
from django.core import checks
from django.core.management import get_commands, load_command_class

django.setup()
for name in sys.argv[1:]:
    load_command_class(get_commands()[name], name)
print(sorted({"commerce.urls", "commerce.staff_pages.pages", "openpyxl", "rest_framework.views", "unfold.forms"}
             & sys.modules.keys()))
checks.run_checks(tags=[checks.Tags.admin])
print(len(admin.site._registry))
"""


def test_pages_are_imported_where_they_are_served_or_checked() -> None:
    ended = run([sys.executable, "-c", SCRIPT, *LASTING])
    assert ended.stdout.splitlines() == ["[]", str(len(admin.site._registry))], ended.stderr
