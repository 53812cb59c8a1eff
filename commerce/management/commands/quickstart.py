"""`manage.py quickstart`, where `manage.py help` and `call_command` find it.

Only hands over; `manage.py` itself runs the stack before Django reads its settings.
"""

from typing import Any

from django.core.management.base import BaseCommand

from commerce.embedded import quickstart


class Command(BaseCommand):
    help = "Start the whole shop on this machine, including its servers, and keep it running."
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        quickstart.main([])
