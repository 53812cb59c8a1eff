"""The fields of a page's forms, as a browser would submit them unchanged."""

import re
from collections.abc import Mapping, Sequence
from html.parser import HTMLParser


def fields_of(page: str) -> dict[str, str]:
    """All named fields with their values; for choices with several values, the last one."""
    reader = _Fields()
    reader.feed(page)
    return reader.found


class _Fields(HTMLParser):
    """Collects the fields of all forms of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, str] = {}
        self._text_of: str | None = None
        self._choice_of: str | None = None

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        given: Mapping[str, str | None] = dict(attrs)
        name = given.get("name")
        if tag == "input" and name and given.get("type") != "submit":
            if given.get("type") != "checkbox" or "checked" in given:
                self.found[name] = given.get("value") or ("on" if given.get("type") == "checkbox" else "")
        elif tag == "textarea" and name:
            self._text_of, self.found[name] = name, ""
        elif tag == "select" and name:
            self._choice_of = name
        elif tag == "option" and self._choice_of and "selected" in given:
            self.found[self._choice_of] = given.get("value") or ""

    def handle_data(self, data: str) -> None:
        if self._text_of:
            # A browser ignores the line break that HTML puts after the opening tag.
            self.found[self._text_of] += re.sub(r"^\r?\n", "", data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            self._text_of = None
        elif tag == "select":
            self._choice_of = None
