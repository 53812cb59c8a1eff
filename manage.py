#!/usr/bin/env python
"""The command line of the shop."""

import os
import sys


def main() -> None:
    """Run a Django command; `quickstart` brings its own settings, so it runs before Django asks for any."""
    if sys.argv[1:2] == ["quickstart"]:
        from commerce.embedded import quickstart

        quickstart.main()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "commerce.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
