"""A leader that waits for another leader does not use the processor meanwhile."""

import threading
from collections.abc import Sequence

import pytest

from commerce.core.group import Member
from commerce.core.group_commit import Queue
from commerce.core.transaction import Transaction


class Nothing:
    """A write that needs nothing and changes nothing."""

    def locks(self) -> Sequence[str]:
        return ()

    def load(self, transaction: Transaction) -> None:
        """Needs nothing."""

    def decide(self, transaction: Transaction) -> None:
        """Changes nothing."""


def test_a_leader_whose_write_another_one_has_in_hand_looks_for_more_now_and_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    queue, leader = Queue(), Member(Nothing())
    looked = 0
    next_members = queue._next_members

    def counted() -> list[Member]:
        nonlocal looked
        looked += 1
        return next_members()

    monkeypatch.setattr(queue, "_next_members", counted)
    # The other leader is done with it a little later.
    threading.Timer(0.1, lambda: setattr(leader, "done", True)).start()
    queue._lead(leader)
    # Every millisecond at most.
    assert 1 <= looked <= 100
