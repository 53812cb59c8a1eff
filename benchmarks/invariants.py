"""Runs `manage.py check_invariants` in this process, because the start of a process would take most of the time.

This is the only module of the benchmark that loads Django. It does not import the shop.
"""

import io
import os
from collections.abc import Mapping
from functools import cache

from benchmarks.errors import BenchmarkFailed


def check(environment: Mapping[str, str], *arguments: str) -> str:
    """Run the command; returns the violations, empty if there are none. Raises BenchmarkFailed."""
    _load_django(tuple(environment.items()))
    from django.core.management import CommandError, call_command
    from django.db import Error

    output = io.StringIO()
    try:
        call_command("check_invariants", "--json", "--no-record", *arguments, stdout=output, stderr=output)
    except CommandError as error:
        return f"{error}\n{output.getvalue()}"
    except Error as error:
        raise BenchmarkFailed(f"The invariants cannot be checked: {error}") from error
    return ""


@cache
def _load_django(environment: tuple[tuple[str, str], ...]) -> None:
    # The settings read the environment when they are first imported.
    os.environ.update(environment)
    import django

    django.setup()
