"""Recovery codes for staff who have lost their second factor: ten codes, each valid for one login.

Only a digest of each code is stored, in the tables of `otp_static`.
"""

import hashlib
import secrets
from typing import Any

from django.db import transaction
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken

CODES = 10
LETTERS = 16
"""Characters of a 32-character alphabet: 80 bits, so that an unsalted digest cannot be guessed."""
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_GROUP = 4
NAME = "recovery codes"


def renew(user: Any) -> list[str]:
    """Create new codes for the account and delete the old ones. They are shown once, in groups of four characters."""
    codes = ["".join(secrets.choice(_ALPHABET) for _ in range(LETTERS)) for _ in range(CODES)]
    with transaction.atomic():
        forget(user)
        device = StaticDevice.objects.create(user=user, name=NAME)
        StaticToken.objects.bulk_create(StaticToken(device=device, token=_digest(code)) for code in codes)
    return ["-".join(code[at : at + _GROUP] for at in range(0, LETTERS, _GROUP)) for code in codes]


def forget(user: Any) -> None:
    """Delete all codes of the account."""
    StaticDevice.objects.filter(user=user).delete()


def left(user: Any) -> int:
    """How many codes of the account are unused."""
    count: int = StaticToken.objects.filter(device__user=user).count()
    return count


def use_up(user: Any, code: str) -> bool:
    """Whether `code` is an unused code of the account; marks it as used. Of two simultaneous calls one succeeds."""
    plain = "".join(letter for letter in code.upper() if letter.isalnum())
    if len(plain) != LETTERS:
        return False
    deleted, _each = StaticToken.objects.filter(device__user=user, token=_digest(plain)).delete()
    return bool(deleted == 1)


def _digest(code: str) -> str:
    """A digest of 64 bits, the width of the column."""
    return hashlib.sha256(f"recovery code {code}".encode()).hexdigest()[:16]
