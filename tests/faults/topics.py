"""Compares the shop's topics, read by an independent client, with the ledger.

The topics are read by `tests.kafka.reader`, which does not depend on the shop.
"""

import json
from collections import Counter, defaultdict

from balances.models import LedgerEntry
from tests.kafka.reader import read_topic


def wrong_in_topics(bootstrap_servers: str, *, prefix: str) -> list[str]:
    """Every ledger entry has its `balance-changed`, there are no others, and those of each user are in order.

    Duplicates are allowed; the first occurrence of an event counts.
    """
    first_read: dict[int, list[int]] = defaultdict(list)
    sent: set[int] = set()
    for record in read_topic(bootstrap_servers, f"{prefix}balance-changed"):
        data = json.loads(record.value)["data"]
        if data["transactionId"] not in sent:
            sent.add(data["transactionId"])
            first_read[data["userId"]].append(data["transactionId"])
    entries = set(LedgerEntry.objects.values_list("id", flat=True))
    found = [f"ledger entry {entry} has no balance-changed in Kafka" for entry in sorted(entries - sent)[:10]]
    found += [f"balance-changed:{entry} stands in Kafka and not in the ledger" for entry in sorted(sent - entries)[:10]]
    found += [
        f"user {user_id}'s events stand in Kafka out of order: {read}"
        for user_id, read in first_read.items()
        if read != sorted(read)
    ]
    return found


def sent_twice(bootstrap_servers: str, *, prefix: str) -> list[str]:
    """Events that occur more than once in Kafka. Only allowed if a process died or a server was unavailable."""
    times = Counter(
        json.loads(record.value)["data"]["transactionId"]
        for record in read_topic(bootstrap_servers, f"{prefix}balance-changed")
    )
    again = [f"balance-changed:{entry} stands {number} times in Kafka" for entry, number in times.items() if number > 1]
    return again[:10]
