"""`purge_idempotency_keys`: an answer goes when no repeat would be given it any more, and not before."""

import json
from datetime import datetime, timedelta

import pytest
from django.utils import timezone
from pytest_django import Settings

from commerce.idempotency import purge
from commerce.idempotency.claims import Answer, Claim, earlier_answer, remember_refusal
from commerce.idempotency.models import IdempotencyKey
from commerce.idempotency.purge import purge_keys
from tests.outbox.manage import run
from tests.together import another_session, together

pytestmark = pytest.mark.django_db(transaction=True)


def answered(key: str, *, at: datetime) -> Claim:
    """A request of caller 1 with this key was answered then."""
    claim = Claim(1, key, b"f" * 32)
    remember_refusal(claim, Answer(400, "application/problem+json", b"{}"))
    IdempotencyKey.objects.filter(key=key).update(created_at=at)
    return claim


def kept() -> list[str]:
    return list(IdempotencyKey.objects.order_by("id").values_list("key", flat=True))


def test_old_answers_go_and_younger_ones_stay(settings: Settings) -> None:
    settings.IDEMPOTENCY_HOURS = 24
    now = timezone.now()
    answered("a", at=now - timedelta(hours=25))
    answered("b", at=now - timedelta(hours=24))
    answered("c", at=now - timedelta(hours=24) + timedelta(milliseconds=1))
    answered("d", at=now)
    assert purge_keys(now=now) == 2
    assert kept() == ["c", "d"]
    assert purge_keys(now=now) == 0


def test_what_goes_is_what_a_repeat_would_not_be_given() -> None:
    now = timezone.now()
    claims = [answered(str(hours), at=now - timedelta(hours=hours)) for hours in (1, 23, 25, 100)]
    given = [claim.key for claim in claims if earlier_answer(claim)]
    purge_keys(now=now)
    assert kept() == given == ["1", "23"]


def test_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purge, "BATCH_SIZE", 2)
    now = timezone.now()
    for number in range(5):
        answered(str(number), at=now - timedelta(hours=30))
    batches: list[int] = []
    assert purge_keys(now=now, on_batch=batches.append) == 5
    assert batches == [2, 2, 1]


def test_four_at_once_forget_each_answer_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purge, "BATCH_SIZE", 3)
    now = timezone.now()
    for number in range(20):
        answered(str(number), at=now - timedelta(hours=30))
    assert sum(together([lambda: purge_keys(now=now)] * 4)) == 20
    assert kept() == []


def test_a_key_that_a_request_has_in_hand_is_left_to_it() -> None:
    now = timezone.now()
    answered("free", at=now - timedelta(hours=30))
    answered("in hand", at=now - timedelta(hours=30))
    with another_session() as request:
        request.execute("DELETE FROM idempotency_key WHERE key = 'in hand'")
        assert purge_keys(now=now) == 1
        request.rollback()
    assert kept() == ["in hand"]


def test_the_command_reports_and_may_be_repeated() -> None:
    answered("old", at=timezone.now() - timedelta(hours=25))
    answered("young", at=timezone.now())
    done = run("purge_idempotency_keys", "--json")
    assert (done.returncode, done.stderr, json.loads(done.stdout)) == (0, "", {"keys": 1})
    again = run("purge_idempotency_keys")
    assert (again.returncode, again.stdout) == (0, "0 idempotency keys purged\n")
    assert kept() == ["young"]
