"""A shop whose events are all delivered and counted, so that everything in it can be archived."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from django.utils import timezone

from commerce.archive.pages import Leaving, archive
from commerce.core import sql
from commerce.idempotency.models import IdempotencyKey
from commerce.outbox.purge import purge_outbox
from stats.services import forget_counted

if TYPE_CHECKING:
    from pytest_django import Settings


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, settings: Settings) -> Path:
    """The folder of the archive files."""
    settings.ARCHIVE_DIR = str(tmp_path)
    return tmp_path


def later() -> datetime:
    """A time after all existing rows."""
    return timezone.now() + timedelta(seconds=1)


def all_is_delivered() -> None:
    """Deliver and purge all messages, delete all stored responses, count all events and delete their records."""
    sql.execute("UPDATE outbox_message SET sent_at = now() WHERE sent_at IS NULL")
    purge_outbox(now=later(), older_than_hours=0)
    IdempotencyKey.objects.all().delete()
    # Not `later`: later facts are not counted yet.
    forget_counted(before=timezone.now())


def archived(folder: Path, *tables: Leaving, before: datetime | None = None) -> list[int]:
    """Archive all rows older than `before` (default: all); returns the number of rows of each table."""
    return [archive(table, before=before or later(), folder=folder) for table in tables]
