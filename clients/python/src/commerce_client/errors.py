"""The errors of calls."""

from typing import Any


class ProblemError(Exception):
    """A refusal or failure of the shop.

    Attributes:
        problem: the response, one of the `…Problem` classes of `commerce_client.models`. Each
            has `code`, `title`, `detail`, `status` and `request_id`, and some have fields of their own.
        retry_after_seconds: when the same call may succeed; None if the response does not contain it.
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
        """The status of the response."""
        return int(self.problem.status)

    def __str__(self) -> str:
        return f"{self.code}: {self.problem.detail or self.problem.title}"


class NoAnswer(Exception):
    """There was no response after all tries.

    The request may have been executed. To find out, repeat the call with the same `key`.
    """


class UnreadableAnswer(Exception):
    """The response is not from the shop, or from a newer version than this client supports.

    As with NoAnswer, the request may have been executed.
    """
