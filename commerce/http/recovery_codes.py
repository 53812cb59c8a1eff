"""Codes on paper for who has lost the phone with the second factor: ten, each good for one login.

Owns how they are made and used up. The database has only a digest of each, in the tables of `otp_static`.
"""

import hashlib
import secrets
from typing import Any

from django.db import transaction
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken

CODES = 10
LETTERS = 16
"""Of 32 letters: 80 bits, so that a digest without salt cannot be guessed."""
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_GROUP = 4
NAME = "recovery codes"


def renew(user: Any) -> list[str]:
    """Make new codes for the account; those of before are good no more. Shown once, in groups of four letters."""
    codes = ["".join(secrets.choice(_ALPHABET) for _ in range(LETTERS)) for _ in range(CODES)]
    with transaction.atomic():
        forget(user)
        device = StaticDevice.objects.create(user=user, name=NAME)
        StaticToken.objects.bulk_create(StaticToken(device=device, token=_digest(code)) for code in codes)
    return ["-".join(code[at : at + _GROUP] for at in range(0, LETTERS, _GROUP)) for code in codes]


def forget(user: Any) -> None:
    """Take all codes of the account away."""
    StaticDevice.objects.filter(user=user).delete()


def left(user: Any) -> int:
    """How many codes of the account are still good."""
    count: int = StaticToken.objects.filter(device__user=user).count()
    return count


def use_up(user: Any, code: str) -> bool:
    """Whether `code` is one of the account's codes; it is none from now on. Of two at once one is told so."""
    plain = "".join(letter for letter in code.upper() if letter.isalnum())
    if len(plain) != LETTERS:
        return False
    deleted, _each = StaticToken.objects.filter(device__user=user, token=_digest(plain)).delete()
    return bool(deleted == 1)


def _digest(code: str) -> str:
    """As long as the column is wide: 64 bits."""
    return hashlib.sha256(f"recovery code {code}".encode()).hexdigest()[:16]
