"""A write that happens once for its caller's key.

Owns the order of its steps: look for an earlier answer, decide, keep the answer. The answers are in `claims`.
"""

from collections.abc import Callable, Sequence
from contextvars import copy_context
from typing import Any, Generic, NoReturn, TypeVar

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


class Once:
    """How a use case happens once for its caller's key; `Once()` has no key, and the use case simply happens.

    Attributes:
        answer: the answer for the caller, once the write is committed.
    """

    def __init__(
        self,
        claim: Claim | None = None,
        render: Callable[[Any], Answer] | None = None,
        render_refusal: Callable[[DomainError], Answer] | None = None,
    ) -> None:
        """`render_refusal` None: a refusal is not kept, and the same key may be tried again."""
        self.claim = claim
        self.answer: Answer | None = None
        self.keeps_refusals = render_refusal is not None
        self._render = render
        self._render_refusal = render_refusal
        # Another request may run the write: a refusal is in the language of this one, and names its id.
        # The language is not part of the context: asgiref keeps it for the thread that has set it.
        self._context = copy_context()
        self._language = translation.get_language()

    @property
    def locks(self) -> tuple[str, ...]:
        """For a `locked_transaction`."""
        return (self.claim.lock,) if self.claim else ()

    def remember(self, transaction: Transaction, result: object) -> None:
        """Keep the answer made of `result`: the last step of a write."""
        if self.claim is not None and self._render is not None:
            self._keep(transaction, self.claim, self._render(result))

    def remember_refusal(self, transaction: Transaction, refusal: DomainError) -> None:
        """Keep the answer made of `refusal`, as the only effect of the write."""
        if self.claim is not None and self._render_refusal is not None:
            self._keep(transaction, self.claim, self._context.run(self._in_language, self._render_refusal, refusal))

    def _in_language(self, render: Callable[[DomainError], Answer], refusal: DomainError) -> Answer:
        with translation.override(self._language):
            return render(refusal)

    def _keep(self, transaction: Transaction, claim: Claim, answer: Answer) -> None:
        self.answer = answer
        transaction[Answers].add(claim, answer, transaction.now)


def commit_once(write: Write[T], once: Once) -> T:
    """Commit `write`, once for the key of `once`, and return its result.

    Raises what `commit` and `write` raise, AlreadyAnswered for a repeat, and IdempotencyKeyReused.
    """
    if not tracing.on:
        return _commit_once(write, once)
    with tracing.traced(write) as traced:
        return _commit_once(traced, once)


def _commit_once(write: Write[T], once: Once) -> T:
    if once.claim is None:
        return commit(write)
    once_only = _OnceOnly(write, once, once.claim)
    try:
        outcome = commit(once_only)
    except IntegrityError as error:
        if violated_constraint(error) != ONE_ANSWER_PER_KEY:
            raise
        # A request with the same key was answered at the same moment: now that answer can be read.
        outcome = commit(once_only)
    if isinstance(outcome, DomainError):
        raise outcome
    return outcome


def refuse_once(refusal: DomainError, once: Once) -> NoReturn:
    """Raise a refusal that was found before any transaction, and keep it for the key of `once`.

    Raises AlreadyAnswered and IdempotencyKeyReused as `commit_once` does.
    """
    if once.claim is not None:
        commit_once(_Refused(refusal), once)
    raise refusal


class _Refused:
    """A write that changes nothing."""

    def __init__(self, refusal: DomainError) -> None:
        self._refusal = refusal

    def locks(self) -> Sequence[str]:
        return ()

    def load(self, transaction: Transaction) -> None:
        """Needs nothing."""

    def decide(self, transaction: Transaction) -> NoReturn:
        raise self._refusal


class _OnceOnly(Generic[T]):
    """A write with its answer; decides a refusal that is kept by returning it."""

    def __init__(self, write: Write[T], once: Once, claim: Claim) -> None:
        self._write = write
        self._once = once
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
            if not self._once.keeps_refusals:
                raise
            transaction.undo()
            self._once.remember_refusal(transaction, refusal)
            return refusal
        self._once.remember(transaction, result)
        return result
