"""F9: PostgreSQL commits, and the answer is lost."""

from tests.faults.fault import Fault, NotFired, Run
from tests.faults.history import Outcome
from tests.faults.shop import Variant

_LOST_WITHIN_SECONDS = 5.0
_HEARD_WITHIN_SECONDS = 2.0
_MOST_TRIES = 20


class AnswerToCommitLost(Fault):
    """The connection is cut after the server has received the COMMIT, before its answer is forwarded."""

    number = "F9"
    control_in_short = True
    title = "answer to COMMIT lost"
    protection = "the answer is kept in the transaction of its effect"
    control_shows = "no call was acknowledged with it or may have left it"
    gap_seconds = (0.05, 0.2)
    most_shots = 200

    def variant(self) -> Variant:
        return Variant(proxied=frozenset({"postgres"}))

    def control(self) -> Variant:
        return Variant(proxied=frozenset({"postgres"}), patches=("tests.faults.weakened.answers_written_later",))

    def strike(self, run: Run) -> str:
        """Lose answers until one belonged to a customer's COMMIT: the dispatcher and the consumer commit too."""
        for lost in range(1, _MOST_TRIES + 1):
            if _lose_one(run):
                return f"{lost} answers lost, the last of them to a customer's COMMIT"
        raise NotFired(f"none of {_MOST_TRIES} lost answers was to a customer's COMMIT")

    def judge(self, run: Run) -> list[str]:
        """At least one belonged to a customer: the outcome of the first request is unknown, and a retry gets the
        response.
        """
        unknown = {(call.user_id, call.key) for call in run.history.calls if call.outcome is Outcome.UNKNOWN}
        done = {(call.user_id, call.key) for call in run.history.calls if call.replayed and call.status == 200}
        if unknown & done:
            return []
        return [f"NotFired: none of the {len(run.shots)} lost answers was to a customer's COMMIT"]


def _lose_one(run: Run) -> bool:
    """Lose the answer to the next COMMIT; returns whether a customer waited for it. Raises NotFired."""
    proxy = run.shop.proxies["postgres"]
    before, began = proxy.answers_lost, run.history.now()
    proxy.lose_answer_to(b"COMMIT")
    if not run.wait_until(lambda: proxy.answers_lost > before, seconds=_LOST_WITHIN_SECONDS):
        raise NotFired(f"nobody committed within {_LOST_WITHIN_SECONDS:.0f} s")

    def customer_is_unsure() -> bool:
        return any(
            call.is_write and (call.answered_at or 0.0) >= began and call.outcome is Outcome.UNKNOWN
            for call in run.history.calls
        )

    return run.wait_until(customer_is_unsure, seconds=_HEARD_WITHIN_SECONDS)
