"""Applies all retention settings, table by table; each table's own purge selects the rows."""

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings

from commerce.archive.ledger import LeavingEntries, oldest_entry
from commerce.archive.orders import LeavingOrders
from commerce.archive.pages import Leaving, archive
from commerce.archive.stock import LeavingMovements
from commerce.idempotency.purge import purge_keys
from commerce.outbox.purge import Purged, purge_outbox
from reservations.services import purge_reservations
from stats.services import Forgotten, forget_counted

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Kept:
    """The result for each table."""

    deleted: Mapping[str, int]
    """Rows by table."""
    archived: Mapping[str, int]
    """Rows by table; `order`: orders, without their items and refunds."""
    held_up_at: datetime | None
    """The time of the oldest order, cancellation or refund that is past retention but not counted; None: none."""
    ledger_held_up_at: datetime | None
    """The time of the oldest ledger entry that is past retention but kept, because its message waits; None: none."""


def keep_to_retention(
    *,
    now: datetime,
    stopping: Callable[[], bool] = lambda: False,
    on_batch: Callable[[int], object] = lambda _count: None,
) -> Kept:
    """Delete and archive according to the settings, in the order of the tables' dependencies.

    Works in batches, each a transaction of its own; `on_batch` receives the size of each, and `stopping` is called
    between them. Raises django.db.Error if the database fails, FolderNotUsable; finished batches stay.
    """
    outbox = Purged()
    if hours := settings.OUTBOX_RETENTION_HOURS:
        outbox = purge_outbox(now=now, older_than_hours=hours, stopping=stopping, on_batch=on_batch)
    keys = purge_keys(now=now, stopping=stopping, on_batch=on_batch)
    counted = Forgotten(0)
    if hours := settings.PROCESSED_EVENT_RETENTION_HOURS:
        counted = forget_counted(before=now - timedelta(hours=hours), stopping=stopping, on_batch=on_batch)
    reservations = 0
    if hours := settings.RESERVATION_RETENTION_HOURS:
        reservations = purge_reservations(before=now - timedelta(hours=hours), stopping=stopping, on_batch=on_batch)
    archived = {
        table.name: archive(
            table, before=before, folder=Path(settings.ARCHIVE_DIR), stopping=stopping, on_page=on_batch
        )
        for table, before in _leaving(now)
    }
    return Kept(
        deleted={
            "outbox_message": outbox.messages,
            "delivery_attempt": outbox.attempts,
            "idempotency_key": keys,
            "processed_event": counted.events,
            "reservation": reservations,
        },
        archived=archived,
        held_up_at=counted.held_up_at,
        ledger_held_up_at=_held_up(now),
    )


def _leaving(now: datetime) -> Iterator[tuple[Leaving, datetime]]:
    """The tables to archive, each with its cut-off time; orders last."""
    if days := settings.LEDGER_RETENTION_DAYS:
        yield LeavingEntries(), now - timedelta(days=days)
    if days := settings.STOCK_MOVEMENT_RETENTION_DAYS:
        yield LeavingMovements(), now - timedelta(days=days)
    if days := settings.ORDER_RETENTION_DAYS:
        yield LeavingOrders(), now - timedelta(days=days)


def _held_up(now: datetime) -> datetime | None:
    days = settings.LEDGER_RETENTION_DAYS
    oldest = oldest_entry() if days else None
    return oldest if oldest is not None and oldest < now - timedelta(days=days) else None
