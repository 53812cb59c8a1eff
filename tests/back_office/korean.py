"""A staff client with a Korean browser that collects English words, except those of a list."""

import json
import re
from functools import cache
from typing import Any

from django.conf import settings
from django.test import Client

from commerce.back_office.roles import ROLES
from commerce.event_routes import ROUTES, SINKS
from commerce.invariants.check import meanings
from products.admin.lines import HEADINGS
from tests.back_office.staff import Page, Staff
from tests.page_text import texts_of

KOREAN = {"Accept-Language": "ko"}
ALLOWED: dict[str, tuple[str, ...]] = {
    "names of products": ("FreeOTP", "Google Authenticator", "Kafka", "PostgreSQL", "Redis"),
    "names of standards": ("ASCII", "HTTP", "https", "LDAP", "Single Sign-On", "TOTP", "UTF-8"),
    "formats": ("application/json", "CSV", "JSON", "XLSX"),
    "units": ("MB", "ms"),
    "hashes of passwords": ("md5",),
    "groups of HTTP statuses": ("2xx", "3xx", "4xx", "5xx"),
    "short for number, also in Korean": ("ID", "id"),
    "keys of a keyboard": ("Command", "Control", "Ctrl + K", "Mac", "esc", "t"),
    "languages, each by its own name and code": ("English", "en", "ko"),
    "zones of the time zone database": ("Asia/Seoul",),
    "commands": ("manage.py check_invariants", "manage.py outbox_retry"),
    "columns of a file, in any language": HEADINGS["en"],
    "types of events": tuple(ROUTES),
    "destinations": tuple(SINKS),
    "rules, as check_invariants prints them": tuple(meanings()),
    "the name of the shop, which it gives itself": (settings.EMAIL_SHOP_NAME,),
    "names of roles, which a shop gives and changes": tuple(role.name for role in ROLES),
}  # fmt: skip
CODES = (
    r"[A-Za-z]+(-[a-z]+)+(:\d+)+",  # an event: order-completed:1:1795903370007930
    r"[A-Za-z]+(-[a-z]+)+\[\d+\]@\d+",  # a position in Kafka
    r"[0-9a-f]{32,}",  # a hash
    r"[0-9A-Za-z]+\*+",  # a part of one
    r"[A-Z2-7]{32}",  # the key of a second factor
    r"[A-Z2-7]{4}(-[A-Z2-7]{4}){3}",  # a recovery code
    r"[0-9a-f]{8}(-[0-9a-f]{4,12}){4}",  # the number of a request
    r"[\w.]+\.(csv|xlsx|pdf)",  # a file
    r"https?://[!-~]+",  # an address
    r"whsec_[A-Za-z0-9+/]+=*",  # the secret of a webhook
)
_LEFT_OUT = re.compile(
    "|".join(
        rf"(?<![A-Za-z]){code}(?![A-Za-z])"
        for code in (*CODES, *sorted((re.escape(word) for words in ALLOWED.values() for word in words), key=len)[::-1])
    )
)


# Most texts of a page are on every page.
@cache
def english_in(text: str) -> tuple[str, ...]:
    """The English words of a text that are not in the lists."""
    return () if _is_json(text) else tuple(re.findall("[A-Za-z]+", _LEFT_OUT.sub("", text)))


def _is_json(text: str) -> bool:
    """Whether the text is JSON."""
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


class Reader(Staff):
    """A superuser with a Korean browser; records every English word and its page."""

    def __init__(self) -> None:
        super().__init__(superuser=True)
        self.english: dict[str, str] = {}
        self.opened: set[str] = set()
        self.client = Client(headers=KOREAN)
        self.client.force_login(self.user)

    def get(self, page: str, *args: object, **query: Any) -> Page:
        return self.read(page, super().get(page, *args, **query))

    def post(self, page: str, *args: object, **values: Any) -> Page:
        return self.read(f"{page} POST", super().post(page, *args, **values))

    def visit(self, path: str, client: Client | None = None, **values: Any) -> Page:
        """Open a page by its path; with `values`, submit a form to it."""
        browser = client or self.client
        return self.read(path, browser.post(path, values) if values else browser.get(path))

    def read(self, name: str, answer: Page) -> Page:
        """Record the English words of a response, and of the page to which it redirects."""
        if answer.resolver_match:
            self.opened.add(str(answer.resolver_match.url_name))
        if answer.status_code == 302:
            self.visit(answer.headers["Location"])
        elif answer.headers["Content-Type"].startswith("text/html"):
            for text in texts_of(answer.content.decode()):
                if words := english_in(text):
                    self.english[text] = f"{name} ({answer.status_code}): {' '.join(words)}"
        return answer
