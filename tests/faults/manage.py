"""The product's command line with failpoints in it: `python -m tests.faults.manage relay_outbox`.

Runs what `manage.py` runs; never part of an image or an installation.
"""

import sys

import django
from django.core.management import execute_from_command_line

from tests.faults.entry import take_on_faults

if __name__ == "__main__":
    django.setup()
    take_on_faults()
    execute_from_command_line(sys.argv)
