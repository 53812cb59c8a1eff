"""The product's command line with failpoints: `python -m tests.faults.manage relay_outbox`.

Runs the same commands as `manage.py`. Not part of any image or installation.
"""

import sys

import django
from django.core.management import execute_from_command_line

from tests.faults.entry import take_on_faults

if __name__ == "__main__":
    django.setup()
    take_on_faults()
    execute_from_command_line(sys.argv)
