"""Text with invisible or direction-changing characters is refused; text of any language is accepted."""

import pytest
from django.core.exceptions import ValidationError

from commerce.core.visible_text import validate_visible

READABLE = ["제주 감귤", "Cafe\u0301", "नमस्ते", "می\u200cخواهم", "👨\u200d👩\u200d👧", "❤\ufe0f", "一", "a\tb\r\nc",
            "₩1,000", "(1+1)", "עברית"]  # fmt: skip
UNREADABLE = ["\u200b", "pen\u200b", "\u200bpen", "pen\u202egnp", "\u2066pen\u2069", "\u200epen", "a\u00adb",
              "\ufeffpen", "pen\u2028cil", "pen\x07", "\u3164", "\u115f\u1160", "\u2800", "\u034f", "pen\u200d",
              "\u200dpen", "a \u200d b", "a\u200d\u200db", "\u061cpen", "\U000e0041pen"]  # fmt: skip


@pytest.mark.parametrize("text", READABLE)
def test_text_in_any_language_is_accepted(text: str) -> None:
    validate_visible(text)


@pytest.mark.parametrize("text", UNREADABLE, ids=ascii)
def test_invisible_and_direction_changing_characters_are_refused(text: str) -> None:
    with pytest.raises(ValidationError) as refused:
        validate_visible(text)
    assert refused.value.code == "unseen_character"


@pytest.mark.parametrize("text", ["\ufe0f", " ", "\u0301"], ids=ascii)
def test_text_without_visible_characters_is_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="no visible characters"):
        validate_visible(text)
