"""A backlog in the outbox, as after an outage, and the check of what arrived in the topic."""

import json
from collections import defaultdict
from collections.abc import Sequence

from django.conf import settings

from commerce.core import sql
from commerce.outbox.models import OutboxMessage
from commerce.outbox.routes import KAFKA
from tests.kafka.reader import Record, read_topic

EVENT = "coupon-issued"
USERS = 7

# Users in turn, so that every batch has messages of all of them.
INSERT = """
    INSERT INTO outbox_message (event_id, type, aggregate_type, aggregate_id, destination, payload)
    SELECT %(event)s::text || ':' || number, %(event)s::text, 'user-coupon', (number %% %(users)s::bigint)::text,
           'kafka',
           format('{"id": "%%s:%%s", "number": %%s, "noise": "%%s"}', %(event)s::text, number, number,
                  (SELECT string_agg(md5(number || '.' || part), '')
                   FROM generate_series(1, %(noise)s::integer) AS part))
    FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS number
    ORDER BY number
"""


def add_messages(first: int, last: int, *, users: int = USERS, event: str = EVENT, noise_bytes: int = 200) -> None:
    """Messages numbered `first` to `last` wait for Kafka; number n is one of user n % `users`.

    `noise_bytes`: about how long each is. Compression makes little of it.
    """
    numbers = {"first": first, "last": last, "users": users, "noise": noise_bytes // 32}
    sql.execute(INSERT, {**numbers, "event": event})


def sent() -> int:
    """The number of messages that are marked as sent."""
    return OutboxMessage.objects.filter(destination=KAFKA, sent_at__isnull=False).count()


def waiting() -> int:
    return OutboxMessage.objects.filter(destination=KAFKA, sent_at=None, parked_at=None).count()


def failed_attempts() -> int:
    """The number of waiting messages with failed attempts."""
    return OutboxMessage.objects.filter(destination=KAFKA, sent_at=None, parked_at=None, attempts__gt=0).count()


def arrived(event: str = EVENT) -> list[Record]:
    """The messages in the topic of an event type."""
    return read_topic(settings.KAFKA_BOOTSTRAP_SERVERS, f"{settings.KAFKA_TOPIC_PREFIX}{event}")


def numbers_of(records: Sequence[Record]) -> list[int]:
    return [json.loads(record.value)["number"] for record in records]


def assert_nothing_lost(records: Sequence[Record], *, last: int, users: int = USERS) -> None:
    """Messages 1 to `last` arrived, each user's in order. Repeats are allowed, and add nothing but repeats."""
    by_user: dict[bytes, list[int]] = defaultdict(list)
    for record, number in zip(records, numbers_of(records), strict=True):
        by_user[record.key].append(number)
    for user in range(users):
        expected = [number for number in range(1, last + 1) if number % users == user]
        assert list(dict.fromkeys(by_user.pop(str(user).encode(), []))) == expected
    assert not by_user
