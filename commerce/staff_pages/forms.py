"""Base classes of back-office forms: styled widgets, reasons, confirmations, and detection of concurrent edits."""

import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar, cast

from django import forms
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db.models import Model
from django.http import QueryDict
from django.utils.text import capfirst
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold import widgets

from commerce.core.errors import ChangedMeanwhile
from commerce.core.visible_text import validate_visible
from commerce.staff_pages.audit_display import newest_change

# Generic for the type checker only; at run time Django's class takes no parameters.
if TYPE_CHECKING:
    Form = forms.ModelForm[Any]
else:
    Form = forms.ModelForm

MOST_CHARACTERS_OF_A_REASON = 200

_LOOKS: tuple[tuple[type[forms.Widget], list[str]], ...] = (
    (forms.CheckboxInput, widgets.CHECKBOX_CLASSES),
    (forms.FileInput, widgets.FILE_CLASSES),
    (forms.Textarea, widgets.TEXTAREA_CLASSES),
    (forms.Select, widgets.SELECT_CLASSES),
    (forms.widgets.Input, widgets.INPUT_CLASSES),
)


def _dress(fields: Iterable[forms.Field]) -> None:
    """Style the declared fields of a form as the library styles model fields."""
    for field in fields:
        field.validators = [_with_separators(validator) for validator in field.validators]
        if field.label:
            field.label = capfirst(field.label)
        classes = next((classes for kind, classes in _LOOKS if isinstance(field.widget, kind)), None)
        if classes and not field.widget.is_hidden:
            field.widget.attrs.setdefault("class", " ".join(classes))


def _with_separators(validator: Any) -> Any:
    """The error message of a number's limit, with thousands separators."""
    if not isinstance(validator, MinValueValidator | MaxValueValidator) or not isinstance(validator.limit_value, int):
        return validator
    message = str(validator.message) % {"limit_value": f"{validator.limit_value:,}"}
    return type(validator)(validator.limit_value, message=message)


class StaffForm(forms.Form):
    """A form without a model."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _dress(self.fields.values())

    def add_field(self, name: str, field: forms.Field) -> None:
        """Add a field to this instance only."""
        _dress([field])
        self.fields[name] = field


class ReasonForm(StaffForm):
    """Requires a reason, which is stored with the action."""

    reason = forms.CharField(label=_("reason"), max_length=MOST_CHARACTERS_OF_A_REASON, validators=[validate_visible])


class ConfirmedForm(forms.Form):
    """A form that requires a confirmation of unusual values.

    The questions are shown above the form; sent again unchanged, it is saved.
    """

    confirmed = forms.CharField(required=False, widget=forms.HiddenInput)

    def questions(self) -> list[str]:
        """A sentence for each unusual value of the valid form."""
        raise NotImplementedError

    def full_clean(self) -> None:
        super().full_clean()
        if not self.is_bound or self.errors:
            return
        questions = self.questions()
        asked = hashlib.sha256("\n".join(questions).encode()).hexdigest() if questions else ""
        if self.cleaned_data["confirmed"] == asked or not questions:
            return
        self.data = cast("QueryDict", self.data).copy()
        self.data[self.add_prefix("confirmed")] = asked
        for question in (*questions, gettext("Save again to confirm.")):
            self.add_error(None, question)


class OpenedForm(Form):
    """A form that is refused if the row has changed since the page was opened.

    The page contains a fingerprint of the fields in `watched`. For concurrent requests the services check `seen`.
    """

    watched: ClassVar[tuple[str, ...]] = ()

    opened = forms.CharField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _dress(self.fields[name] for name in self.declared_fields if name in self.fields)
        # Now, before validation writes the submitted values into the instance.
        self.seen: dict[str, Any] = {} if self.instance._state.adding else _values(self.instance, self.watched)
        self._state = hashlib.sha256(repr(sorted(self.seen.items())).encode()).hexdigest() if self.seen else ""
        self.initial["opened"] = self._state

    def clean_opened(self) -> str:
        if self.cleaned_data["opened"] != self._state:
            self.add_error(None, f"{ChangedMeanwhile()} {newest_change(self.instance)}".strip())
        return self._state


def _values(row: Model, names: tuple[str, ...]) -> dict[str, Any]:
    """The row's fields by name; for many-to-many fields the sorted keys."""
    return {
        name: sorted(getattr(each, "pk", each) for each in value) if isinstance(value, list) else value
        for name, value in forms.model_to_dict(row, fields=names).items()
    }
