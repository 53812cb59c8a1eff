"""A staff form that happens once, however often its button is pressed.

Owns the key that the page carries; that a key happens once is `claims`'s.
"""

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
from commerce.idempotency.once import Once

T = TypeVar("T")

TEXT = "text/plain"


class OnceForm(forms.Form):
    """Its page carries a key of its own; sent twice, by a double click or a reload, it is done once."""

    form_key = forms.UUIDField(widget=forms.HiddenInput, initial=uuid4)
    is_repeat = False
    """Whether `act_once` has found that the form had been sent before."""

    def act_once(self, use_case: Callable[[Once], T], sentence: Callable[[T], str], *, staff_id: int, path: str) -> str:
        """Do it, and return the sentence about what came of it; a form that is sent again gets that sentence.

        To be called once the form is valid; `path` is the page's. Raises what the use case raises, and
        IdempotencyKeyReused where the same page was sent with other values.
        """
        claim, self.is_repeat = self._claim(staff_id, path), False
        once = Once(claim, lambda result: Answer(200, TEXT, sentence(result).encode()))
        try:
            use_case(once)
        except AlreadyAnswered as repeat:
            once.answer, self.is_repeat = repeat.answer, True
        except IntegrityError as error:
            if violated_constraint(error) != claims.ONE_ANSWER_PER_KEY:
                raise
            once.answer = claims.earlier_answer(claim)
            if once.answer is None:
                claims.forget_expired(claim)
                return self.act_once(use_case, sentence, staff_id=staff_id, path=path)
            self.is_repeat = True
        except DomainError:
            # What was done already may be the reason why it cannot be done again.
            once.answer = claims.earlier_answer(claim)
            if once.answer is None:
                raise
            self.is_repeat = True
        if once.answer is None:
            raise RuntimeError("The use case did not remember its answer.")
        return once.answer.body.decode()

    def try_once(
        self, use_case: Callable[[Once], T], sentence: Callable[[T], str], *, staff_id: int, path: str
    ) -> str | None:
        """As `act_once`; what the use case refuses is said by the form, and None is returned."""
        try:
            return self.once_said(self.act_once(use_case, sentence, staff_id=staff_id, path=path))
        except DomainError as refusal:
            self.refuse(refusal)
            return None

    def once_said(self, sentence: str) -> str:
        """The sentence of `act_once`, or that it is about what an earlier press of the button did."""
        return _("Done already, and not again. %(sentence)s") % {"sentence": sentence} if self.is_repeat else sentence

    def refuse(self, refusal: DomainError) -> None:
        """Say it above the form; one that knows the field which it is about says it there."""
        self.add_error(None, str(refusal))

    def _claim(self, staff_id: int, path: str) -> Claim:
        values = {**self.cleaned_data}
        form_key = values.pop("form_key")
        fingerprint = hashlib.sha256(f"{path}\n{sorted(values.items())!r}".encode()).digest()
        return Claim(staff_id, f"form:{form_key}", fingerprint)
