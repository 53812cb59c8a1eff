"""Idempotent forms of the back-office: the page contains a key, and each submitted key is executed once."""

import hashlib
from collections.abc import Callable
from typing import TypeVar
from uuid import uuid4

from django import forms
from django.db import IntegrityError
from django.utils.translation import gettext as _

from commerce.core.errors import DomainError
from commerce.core.sql import violated_constraint
from commerce.idempotency import claims
from commerce.idempotency.claims import AlreadyAnswered, Answer, Claim
from commerce.idempotency.commit import Idempotency

T = TypeVar("T")

TEXT = "text/plain"


class IdempotentForm(forms.Form):
    """A form whose page contains a unique key. Submitted twice, by a double click or a reload, it is executed once."""

    form_key = forms.UUIDField(widget=forms.HiddenInput, initial=uuid4)
    is_repeat = False
    """Whether `act_once` found that the form had been submitted before."""

    def act_once(
        self, use_case: Callable[[Idempotency], T], sentence: Callable[[T], str], *, staff_id: int, path: str
    ) -> str:
        """Run the use case and return the message about its result. A repeated form gets the same message.

        Must be called with a valid form; `path` is that of the page. Raises the errors of the use case, and
        IdempotencyKeyReused if the same page was submitted with other values.
        """
        claim, self.is_repeat = self._claim(staff_id, path), False
        idempotency = Idempotency(claim, lambda result: Answer(200, TEXT, sentence(result).encode()))
        try:
            use_case(idempotency)
        except AlreadyAnswered as repeat:
            idempotency.answer, self.is_repeat = repeat.answer, True
        except IntegrityError as error:
            if violated_constraint(error) != claims.ONE_ANSWER_PER_KEY:
                raise
            idempotency.answer = claims.earlier_answer(claim)
            if idempotency.answer is None:
                claims.forget_expired(claim)
                return self.act_once(use_case, sentence, staff_id=staff_id, path=path)
            self.is_repeat = True
        except DomainError:
            # The first submission may be the reason why a second one is refused.
            idempotency.answer = claims.earlier_answer(claim)
            if idempotency.answer is None:
                raise
            self.is_repeat = True
        if idempotency.answer is None:
            raise RuntimeError("The use case did not remember its answer.")
        return idempotency.answer.body.decode()

    def try_once(
        self, use_case: Callable[[Idempotency], T], sentence: Callable[[T], str], *, staff_id: int, path: str
    ) -> str | None:
        """Like `act_once`, but adds a refusal to the errors of the form and returns None."""
        try:
            return self.message_of(self.act_once(use_case, sentence, staff_id=staff_id, path=path))
        except DomainError as refusal:
            self.refuse(refusal)
            return None

    def message_of(self, sentence: str) -> str:
        """The message of `act_once`, marked if it belongs to an earlier submission."""
        return (
            _("Already done, and not repeated. %(sentence)s") % {"sentence": sentence} if self.is_repeat else sentence
        )

    def refuse(self, refusal: DomainError) -> None:
        """Add a refusal to the form's errors: to the field that it names, otherwise to the form."""
        self.add_error(None, str(refusal))

    def _claim(self, staff_id: int, path: str) -> Claim:
        values = {**self.cleaned_data}
        form_key = values.pop("form_key")
        fingerprint = hashlib.sha256(f"{path}\n{sorted(values.items())!r}".encode()).digest()
        return Claim(staff_id, f"form:{form_key}", fingerprint)
