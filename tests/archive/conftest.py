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
    """Where the files go."""
    settings.ARCHIVE_DIR = str(tmp_path)
    return tmp_path


def later() -> datetime:
    """A moment after everything so far."""
    return timezone.now() + timedelta(seconds=1)


def all_is_delivered() -> None:
    """No message waits or is kept, no answer is repeated, and every event is counted and forgotten."""
    sql.execute("UPDATE outbox_message SET sent_at = now() WHERE sent_at IS NULL")
    purge_outbox(now=later(), older_than_hours=0)
    IdempotencyKey.objects.all().delete()
    # Not `later`: what happens from now on is not counted yet.
    forget_counted(before=timezone.now())


def archived(folder: Path, *tables: Leaving, before: datetime | None = None) -> list[int]:
    """Move what is older than that (default: everything), and return how many rows each table had."""
    return [archive(table, before=before or later(), folder=folder) for table in tables]
