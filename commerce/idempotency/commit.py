"""Runs a write at most once per idempotency key.

The steps are: look for an earlier response, decide, store the response. Responses are stored by `claims`.
"""

from collections.abc import Callable, Sequence
from contextvars import copy_context
from typing import Any, Generic, NoReturn, Self, TypeVar

from django.db import IntegrityError
from django.utils import translation

from commerce.core import tracing
from commerce.core.errors import DomainError, Unavailable
from commerce.core.group import Write
from commerce.core.group_commit import commit
from commerce.core.sql import violated_constraint
from commerce.core.transaction import Transaction
from commerce.idempotency.claims import ONE_ANSWER_PER_KEY, Answer, Answers, Claim

T = TypeVar("T")


class Idempotency:
    """The key of a request with the response to it. `Idempotency.none()` has no key, so the use case simply runs.

    Attributes:
        answer: the response for the caller, once the write is committed.
    """

    def __init__(
        self,
        claim: Claim | None,
        render: Callable[[Any], Answer] | None = None,
        render_refusal: Callable[[DomainError], Answer] | None = None,
    ) -> None:
        """`render_refusal` None: refusals are not stored, and the same key may be used again."""
        self.claim = claim
        self.answer: Answer | None = None
        self.keeps_refusals = render_refusal is not None
        self._render = render
        self._render_refusal = render_refusal
        # Another request may run this write. A refusal has to use the language and the id of this request.
        # The language is copied separately, because asgiref stores it per thread and not in the context.
        self._context = copy_context()
        self._language = translation.get_language()

    @classmethod
    def none(cls) -> Self:
        """Without a key: the use case runs each time that it is called."""
        return cls(None)

    @property
    def locks(self) -> tuple[str, ...]:
        """The locks for a `locked_transaction`."""
        return (self.claim.lock,) if self.claim else ()

    def remember(self, transaction: Transaction, result: object) -> None:
        """Store the response for `result`: the last step of a write."""
        if self.claim is not None and self._render is not None:
            self._keep(transaction, self.claim, self._render(result))

    def remember_refusal(self, transaction: Transaction, refusal: DomainError) -> None:
        """Store the response for `refusal`, as the only effect of the write."""
        if self.claim is not None and self._render_refusal is not None:
            self._keep(transaction, self.claim, self._context.run(self._in_language, self._render_refusal, refusal))

    def _in_language(self, render: Callable[[DomainError], Answer], refusal: DomainError) -> Answer:
        with translation.override(self._language):
            return render(refusal)

    def _keep(self, transaction: Transaction, claim: Claim, answer: Answer) -> None:
        self.answer = answer
        transaction[Answers].add(claim, answer, transaction.now)


def commit_once(write: Write[T], idempotency: Idempotency) -> T:
    """Commit `write` at most once for the key of `idempotency`, and return its result.

    Raises the errors of `commit` and `write`, AlreadyAnswered for a repeated request, and IdempotencyKeyReused.
    """
    if not tracing.on:
        return _commit_once(write, idempotency)
    with tracing.traced(write) as traced:
        return _commit_once(traced, idempotency)


def _commit_once(write: Write[T], idempotency: Idempotency) -> T:
    if idempotency.claim is None:
        return commit(write)
    idempotent = _IdempotentWrite(write, idempotency, idempotency.claim)
    try:
        outcome = commit(idempotent)
    except IntegrityError as error:
        if violated_constraint(error) != ONE_ANSWER_PER_KEY:
            raise
        # A request with the same key was committed at the same time: its response can be read now.
        outcome = commit(idempotent)
    if isinstance(outcome, DomainError):
        raise outcome
    return outcome


def refuse_once(refusal: DomainError, idempotency: Idempotency) -> NoReturn:
    """Raise a refusal that was found before any transaction, and store it for the key of `idempotency`.

    Raises AlreadyAnswered and IdempotencyKeyReused as `commit_once` does.
    """
    if idempotency.claim is not None:
        commit_once(_Refused(refusal), idempotency)
    raise refusal


class _Refused:
    """A write that changes nothing."""

    def __init__(self, refusal: DomainError) -> None:
        self._refusal = refusal

    def locks(self) -> Sequence[str]:
        return ()

    def load(self, transaction: Transaction) -> None:
        """No rows are needed."""

    def decide(self, transaction: Transaction) -> NoReturn:
        raise self._refusal


class _IdempotentWrite(Generic[T]):
    """A write with its response. A refusal that is to be stored is returned instead of raised."""

    def __init__(self, write: Write[T], idempotency: Idempotency, claim: Claim) -> None:
        self._write = write
        self._idempotency = idempotency
        self._claim = claim

    def locks(self) -> Sequence[str]:
        return (*self._write.locks(), self._claim.lock)

    def load(self, transaction: Transaction) -> None:
        transaction[Answers].ask(self._claim)
        self._write.load(transaction)

    def decide(self, transaction: Transaction) -> T | DomainError:
        transaction[Answers].require_unanswered(self._claim)
        try:
            result = self._write.decide(transaction)
        except Unavailable:
            raise
        except DomainError as refusal:
            if not self._idempotency.keeps_refusals:
                raise
            transaction.undo()
            self._idempotency.remember_refusal(transaction, refusal)
            return refusal
        self._idempotency.remember(transaction, result)
        return result
