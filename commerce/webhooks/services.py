"""Use cases of webhook subscriptions, each with an audit record in its transaction, without the secret.

A secret is returned once, to the caller who creates it. The dispatcher makes the calls.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from django.utils import timezone
from django.utils.translation import gettext_noop

from commerce.audit.record import Staff, record
from commerce.core import sql
from commerce.core.errors import DomainError, require_unchanged
from commerce.core.locks import locked_transaction
from commerce.core.transaction import Transaction
from commerce.idempotency.claims import AlreadyAnswered, earlier_answer, forget_expired
from commerce.idempotency.commit import Idempotency, refuse_once
from commerce.outbox import local_dispatch
from commerce.outbox.models import EndReason, WebhookSubscription
from commerce.outbox.resend import send_again as send_messages_again
from commerce.outbox.routes import WEBHOOKS
from commerce.outbox.sinks.webhooks import new_secret
from commerce.outbox.webhook_dispatcher import MOST_SUBSCRIPTIONS
from commerce.webhooks import selectors
from commerce.webhooks.errors import WebhookLimitReached

ADDED = gettext_noop("Added")
CHANGED = gettext_noop("Changed")
ROTATED = gettext_noop("New secret made")
REMOVED = gettext_noop("Removed")
TERMS = ("name", "url", "event_types", "is_active")
"""The fields of a subscription that staff edit."""
LONGEST_OVERLAP_HOURS = 168
TAKE_TURN = "SELECT pg_advisory_xact_lock(hashtextextended('webhooks:create', 0))"

T = TypeVar("T")


@dataclass(frozen=True)
class Made:
    """A subscription and its new secret, which is shown only once."""

    webhook: WebhookSubscription
    secret: str


def create_webhook(*, name: str, url: str, event_types: Sequence[str], by: Staff, idempotency: Idempotency) -> Made:
    """Subscribe a third party to future events of these types. Raises WebhookLimitReached, LockTimeout."""

    def create() -> Made:
        take_turn()
        if selectors.webhooks().count() >= MOST_SUBSCRIPTIONS:
            raise WebhookLimitReached(MOST_SUBSCRIPTIONS)
        secret = new_secret()
        webhook = WebhookSubscription.objects.create(name=name, url=url, event_types=sorted(event_types), secret=secret)
        webhook.refresh_from_db(fields=["created_at", "failures", "next_call_at"])
        record(by, ADDED, webhook, after=_terms(webhook))
        return Made(webhook, secret)

    return _written(create, idempotency)


def change_webhook(
    webhook_id: int,
    changes: Mapping[str, Any],
    *,
    by: Staff,
    idempotency: Idempotency,
    seen: Mapping[str, object] | None = None,
) -> WebhookSubscription:
    """Change some of its `TERMS`. Messages sent from now on go to the new URL.

    A new URL, or switching it on, resets its failures. Switching it off parks its waiting messages. `seen`: the terms
    that the change is based on; one that differs now raises ChangedMeanwhile.
    Raises WebhookNotFound, ChangedMeanwhile, LockTimeout.
    """

    def change() -> WebhookSubscription:
        webhook = selectors.webhook_for(webhook_id, locked=True)
        require_unchanged(webhook, seen or {})
        before = _terms(webhook)
        for name, value in changes.items():
            setattr(webhook, name, sorted(value) if name == "event_types" else value)
        if webhook.url != before["url"] or (webhook.is_active and not before["is_active"]):
            webhook.failures, webhook.failing_since, webhook.next_call_at = 0, None, timezone.now()
        if webhook.is_active:
            webhook.ended_for, webhook.ended_at = "", None
        elif before["is_active"]:
            webhook.ended_for, webhook.ended_at = EndReason.STAFF, timezone.now()
        webhook.save()
        if _terms(webhook) != before:
            record(by, CHANGED, webhook, before=before, after=_terms(webhook))
        return webhook

    webhook = _written(change, idempotency)
    local_dispatch.wake([WEBHOOKS])
    return webhook


def rotate_secret(webhook_id: int, *, overlap_hours: int, by: Staff, idempotency: Idempotency) -> Made:
    """Create a new secret. For `overlap_hours` (0 to `LONGEST_OVERLAP_HOURS`) calls are signed with both secrets.

    An even older secret is dropped. Raises WebhookNotFound, LockTimeout.
    """

    def rotate() -> Made:
        webhook = selectors.webhook_for(webhook_id, locked=True)
        current, webhook.secret = webhook.secret, new_secret()
        if overlap_hours:
            webhook.previous_secret = current
            webhook.previous_secret_until = timezone.now() + timedelta(hours=overlap_hours)
        else:
            webhook.previous_secret, webhook.previous_secret_until = "", None
        webhook.save(update_fields=["secret", "previous_secret", "previous_secret_until"])
        record(by, ROTATED, webhook, after={"previous_secret_until": webhook.previous_secret_until})
        return Made(webhook, webhook.secret)

    return _written(rotate, idempotency)


def remove_webhook(webhook_id: int, *, by: Staff, idempotency: Idempotency) -> WebhookSubscription:
    """Stop its calls, delete its secrets and park its waiting messages. Raises WebhookNotFound, LockTimeout."""

    def remove() -> WebhookSubscription:
        webhook = selectors.webhook_for(webhook_id, locked=True)
        before = _terms(webhook)
        webhook.is_active, webhook.ended_for = False, EndReason.REMOVED
        webhook.ended_at = webhook.ended_at or timezone.now()
        webhook.secret = webhook.previous_secret = ""
        webhook.previous_secret_until = None
        webhook.save()
        record(by, REMOVED, webhook, before=before)
        return webhook

    webhook = _written(remove, idempotency)
    local_dispatch.wake([WEBHOOKS])
    return webhook


def send_again(webhook_id: int, event_ids: Collection[str], *, by: Staff, idempotency: Idempotency) -> int:
    """Send these events to it again, also delivered ones; returns the number of messages found.

    Raises WebhookNotFound, LockTimeout.
    """

    def send() -> int:
        selectors.webhook_for(webhook_id, locked=True)
        return len(send_messages_again(selectors.messages_of(webhook_id, event_ids), by=by))

    count = _written(send, idempotency)
    local_dispatch.wake([WEBHOOKS])
    return count


def send_parked_again(webhook_id: int, *, most: int, by: Staff, idempotency: Idempotency) -> int:
    """Send up to `most` parked messages again, oldest first; returns the number of messages.

    Raises WebhookNotFound, LockTimeout.
    """

    def send() -> int:
        selectors.webhook_for(webhook_id, locked=True)
        return len(send_messages_again(list(selectors.parked_of(webhook_id)[:most]), by=by))

    count = _written(send, idempotency)
    local_dispatch.wake([WEBHOOKS])
    return count


def take_turn() -> None:
    """Lock the creation of subscriptions until the transaction ends, so that their count is exact."""
    sql.execute(TAKE_TURN)


def _terms(webhook: WebhookSubscription) -> dict[str, object]:
    return {name: getattr(webhook, name) for name in TERMS}


def _written(write: Callable[[], T], idempotency: Idempotency) -> T:
    """Run the write in a transaction, once per idempotency key; a refusal is stored for the key as well."""
    try:
        with _transaction(idempotency) as shared:
            result = write()
            idempotency.remember(shared, result)
    except DomainError as refusal:
        refuse_once(refusal, idempotency)
    return result


@contextmanager
def _transaction(idempotency: Idempotency) -> Iterator[Transaction]:
    """Raises AlreadyAnswered for a repeat, and IdempotencyKeyReused."""
    with locked_transaction(*idempotency.locks) as shared:
        if idempotency.claim is not None:
            answer = earlier_answer(idempotency.claim)
            if answer is not None:
                raise AlreadyAnswered(answer)
            forget_expired(idempotency.claim)
        yield shared
