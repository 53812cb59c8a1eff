"""`manage.py check_invariants`, run in this process: its own start would be most of its time.

Owns the one place where the benchmark loads Django; imports nothing of the shop.
"""

import io
import os
from collections.abc import Mapping
from functools import cache

from benchmarks.errors import BenchmarkFailed


def check(environment: Mapping[str, str], *arguments: str) -> str:
    """Run the command with these arguments; what it found, empty where everything holds. Raises BenchmarkFailed."""
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
    # Settings read the environment once, when they are first imported.
    os.environ.update(environment)
    import django

    django.setup()
