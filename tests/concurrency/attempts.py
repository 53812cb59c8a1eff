"""Runs a use case and describes its outcome in one word.

Unexpected errors are not caught.
"""

from collections.abc import Callable

from django.db import IntegrityError, OperationalError

from commerce.core.errors import DomainError
from commerce.core.sql import sqlstate, violated_constraint

DONE = "done"
DEADLOCK = "40P01"

Attempt = Callable[[], str]


def attempt(use_case: Callable[[], object]) -> Attempt:
    """`done`, the code of the refusal, the name of the violated constraint, or PostgreSQL's error code."""

    def run() -> str:
        try:
            use_case()
        except DomainError as refusal:
            return refusal.code
        except IntegrityError as error:
            return violated_constraint(error) or "integrity error"
        except OperationalError as error:
            return sqlstate(error) or "operational error"
        return DONE

    return run
