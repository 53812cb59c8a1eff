"""`archive --every`: the process of docker-compose.yml, which survives failed runs."""

import time
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from prometheus_client import REGISTRY
from pytest_django import Settings

from balances.events import BALANCE_CHANGED
from balances.models import LedgerEntry
from commerce.outbox.models import OutboxMessage
from commerce.outbox.publish import event_id
from tests.factories import UserFactory, charged
from tests.outbox.manage import managed
from tests.together import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

OFTEN = ("archive", "--every", "0.001")


def old_entry() -> None:
    charged(UserFactory(), 100, at=timezone.now() - timedelta(days=30))


def nothing_is_kept() -> bool:
    return not LedgerEntry.objects.exists()


def test_it_archives_repeatedly_until_sigterm(folder: Path) -> None:
    old_entry()
    environment = {"ARCHIVE_DIR": str(folder), "LEDGER_RETENTION_DAYS": "10"}
    with managed(*OFTEN, environment=environment) as archiving:
        wait_until(nothing_is_kept, "the first turn")
        old_entry()
        wait_until(nothing_is_kept, "another turn")
        assert archiving.stop() == 0
    assert archiving.printed("user_balance_tx              1 rows archived")
    assert archiving.printed("Archive stopped")
    assert len(list(folder.glob("user_balance_tx-*.jsonl.gz"))) == 2


def test_a_missing_folder_fails_one_run(folder: Path) -> None:
    old_entry()
    mounted = folder / "mounted"
    environment = {"ARCHIVE_DIR": str(mounted), "LEDGER_RETENTION_DAYS": "10"}
    with managed(*OFTEN, environment=environment) as archiving:
        wait_until(lambda: archiving.printed("could not be archived, next try in 0 s"), "a turn without the folder")
        assert not nothing_is_kept()
        mounted.mkdir()
        wait_until(nothing_is_kept, "a turn with it")
        assert archiving.stop() == 0


@pytest.mark.parametrize("minutes", ["0", "-1", "nan", "10081"])
def test_2_for_an_invalid_interval(minutes: str) -> None:
    with pytest.raises(CommandError, match="above 0 and at most 10,080") as refused:
        call_command("archive", f"--every={minutes}")
    assert refused.value.returncode == 2


def test_prometheus_shows_what_blocks_archiving(folder: Path, settings: Settings) -> None:
    settings.LEDGER_RETENTION_DAYS = 10
    old_entry()
    [entry] = LedgerEntry.objects.all()
    OutboxMessage.objects.create(
        event_id=event_id(BALANCE_CHANGED, entry.pk, entry.created_at), type=BALANCE_CHANGED, destination="kafka"
    )
    began = time.time()
    call_command("archive", stdout=StringIO())
    assert metric("held_up_timestamp_seconds", by="delivery") == entry.created_at.timestamp()
    assert metric("held_up_timestamp_seconds", by="counting") == 0
    assert metric("finished_timestamp_seconds") >= began
    OutboxMessage.objects.all().delete()
    call_command("archive", stdout=StringIO())
    assert metric("held_up_timestamp_seconds", by="delivery") == 0


def metric(name: str, **labels: str) -> float:
    value = REGISTRY.get_sample_value(f"commerce_archive_{name}", labels)
    assert value is not None
    return value
