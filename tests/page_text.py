"""The text of a page for a person: visible text, and text in attributes.

Values of input fields and hidden text are not included.
"""

import re
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser

ATTRIBUTES = ("alt", "aria-description", "aria-label", "aria-roledescription", "label", "placeholder", "title")
BUTTONS = ("button", "reset", "submit")
NOT_READ = ("noscript", "script", "style", "textarea")
WITHOUT_END = ("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr")


def texts_of(page: str) -> Iterator[str]:
    """All texts, with single spaces, without names of icons and labels of hidden fields."""
    reader = _Texts()
    reader.feed(page)
    reader.close()
    for text in reader.found:
        if shown := re.sub(r"\s+", " ", text).strip():
            yield shown


class _Texts(HTMLParser):
    """Collects texts. Elements that are not read are skipped with their content."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._open: list[tuple[str, bool]] = []
        self._not_read = 0

    @property
    def _is_read(self) -> bool:
        return not self._not_read

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if self._is_read:
            self.found += [given[name] for name in ATTRIBUTES if name in given]
            if tag == "input" and given.get("type") in BUTTONS:
                self.found.append(given.get("value", ""))
        if tag not in WITHOUT_END:
            is_read = tag not in NOT_READ and not _is_hidden(given.get("class", "").split())
            self._open.append((tag, is_read))
            self._not_read += not is_read

    def handle_endtag(self, tag: str) -> None:
        while any(tag == opened for opened, _is_read in self._open):
            opened, is_read = self._open.pop()
            self._not_read -= not is_read
            if opened == tag:
                return

    def handle_data(self, data: str) -> None:
        if self._is_read:
            self.found.append(data)


def _is_hidden(classes: Sequence[str]) -> bool:
    """An icon, whose text is its name in the font, or a form row that only contains hidden fields."""
    return "material-symbols-outlined" in classes or {"form-row", "hidden"} <= set(classes)
