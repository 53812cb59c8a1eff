"""How a call may end other than with an answer."""

from typing import Any


class ProblemError(Exception):
    """The shop refused, or failed.

    Attributes:
        problem: the problem as the shop described it, one of the `…Problem` classes of `commerce_client.models`. Each
            has `code`, `title`, `detail`, `status` and `request_id`, and some have fields of their own.
        retry_after_seconds: when the same call may succeed; None where the shop did not say.
    """

    def __init__(self, problem: Any, retry_after_seconds: int | None = None) -> None:
        self.problem = problem
        self.retry_after_seconds = retry_after_seconds
        super().__init__(problem, retry_after_seconds)

    @property
    def code(self) -> str:
        """The code, which never changes, such as `out_of_stock`."""
        return str(self.problem.code)

    @property
    def status(self) -> int:
        """The status of the answer."""
        return int(self.problem.status)

    def __str__(self) -> str:
        return f"{self.code}: {self.problem.detail or self.problem.title}"


class NoAnswer(Exception):
    """No answer came, after all tries.

    What was asked for may have been done. To find out, call again with the same `key`.
    """


class UnreadableAnswer(Exception):
    """Something answered that is not the shop, or a shop that is newer than this client.

    As with NoAnswer, what was asked for may have been done.
    """
