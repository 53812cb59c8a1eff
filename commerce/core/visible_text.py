"""Validates that text is visible: no invisible characters, and none that change the direction of the text around it.

The characters are selected by their Unicode category. Does not change text.
"""

import unicodedata

from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

_UNSEEN_CATEGORIES = {"Cc", "Cf", "Zl", "Zp"}
_LINE_CHARACTERS = "\n\r\t"
# Letters, marks and symbols by category, but without a visible form: Hangul and Khmer fillers, the grapheme joiner,
# Mongolian variation selectors and the empty Braille pattern.
_BLANKS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0")
_JOINERS = "\u200c\u200d"
"""Allowed within a word: Persian and Hindi spelling uses them, and so do emoji that consist of several characters."""


def unseen_character(text: str) -> str | None:
    """The first character that is invisible or changes the direction of the text, as U+200B; None if there is none.

    Line breaks and tabs are allowed.
    """
    for position, character in enumerate(text):
        if character in _LINE_CHARACTERS or not _is_unseen(character):
            continue
        if character in _JOINERS and _is_shown(text[position - 1 : position]) and _is_shown(text[position + 1 :][:1]):
            continue
        return f"U+{ord(character):04X}"
    return None


def validate_visible(text: str) -> None:
    """Raise ValidationError for a text with a character that is invisible or changes the direction of the text."""
    if code := unseen_character(text):
        raise ValidationError(
            _("The character %(code)s is invisible or changes the direction of the text. Remove it."),
            code="unseen_character",
            params={"code": code},
        )
    if text and not any(unicodedata.category(character)[0] in "LNPS" for character in text):
        raise ValidationError(_("This text has no visible characters."), code="nothing_to_see")


def _is_unseen(character: str) -> bool:
    return character in _BLANKS or unicodedata.category(character) in _UNSEEN_CATEGORIES


def _is_shown(character: str) -> bool:
    return bool(character) and not character.isspace() and not _is_unseen(character)
