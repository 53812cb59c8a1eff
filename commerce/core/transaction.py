"""One write of the shop: rows appended last, moments after it.

Owns what happens just before and after COMMIT; the locks around it are in `locks.py`.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Any

from django.db import transaction

from commerce.core import sql

logger = logging.getLogger(__name__)


class Transaction:
    """Handed to operations by `locked_transaction`: whoever holds one is inside a transaction, with its locks."""

    def __init__(self) -> None:
        self._appended: list[tuple[str, Sequence[Any]]] = []
        self._released: list[Callable[[], object]] = []

    def append(self, insert: str, params: Sequence[Any]) -> None:
        """Write rows that nothing else in this transaction reads: items, movements, events, the answer.

        All appended INSERTs run as one statement just before COMMIT, which spares a round trip each. A constraint
        that one of them breaks undoes the whole transaction.
        """
        self._appended.append((insert, params))

    def on_committed(self, then: Callable[[], object]) -> None:
        """Run `then` once the data is durable and the locks are still held: cache writes. A failure is logged."""
        transaction.on_commit(then, robust=True)

    def on_released(self, then: Callable[[], object]) -> None:
        """Run `then` once the locks are gone: hand-over of events. A failure is logged."""
        self._released.append(then)

    def write_appended(self) -> None:
        if not self._appended:
            return
        parts = ", ".join(f"appended_{number} AS ({insert})" for number, (insert, _) in enumerate(self._appended))
        params = [value for _, values in self._appended for value in values]
        sql.execute(f"WITH {parts} SELECT 1", params)

    def run_released(self) -> None:
        for then in self._released:
            try:
                then()
            except Exception:
                # The write is committed and answered for; what failed here is swept up by its own process.
                logger.exception("A step after the write failed; the write itself stands")
