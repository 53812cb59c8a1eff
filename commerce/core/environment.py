"""Reading settings from environment variables, and secrets from files that variables name.

Owns how a value is read and refused; which settings there are, commerce/settings.py says.
"""

import math
import os
from pathlib import Path
from typing import Any, TypeVar

import environ
from django.core.exceptions import ImproperlyConfigured

Number = TypeVar("Number", int, float)

SECRETS = (
    "SECRET_KEY",
    "SECRET_KEY_FALLBACKS",
    "JWT_SIGNING_KEY",
    "JWT_SIGNING_KEY_FALLBACKS",
    "DATABASE_URL",
    "DATABASE_REPLICA_URL",
    "REDIS_URL",
    "LOCK_REDIS_URL",
    "KAFKA_SASL_PASSWORD",
    "KAFKA_SSL_KEY_PASSWORD",
    "DATA_PLATFORM_SECRET",
    "DATA_PLATFORM_SECRET_FALLBACKS",
    "EMAIL_HOST_PASSWORD",
)
"""Settings that may be given as the content of a file: SECRET_KEY_FILE names the file with SECRET_KEY."""


def file_variable(name: str) -> str:
    """The variable that names the file with a secret."""
    return f"{name}_FILE"


class Environment(environ.Env):
    """The environment. No error shows a value, which may be a secret in the wrong place."""

    def get_value(
        self, var: str, cast: Any = None, default: Any = environ.Env.NOTSET, parse_default: bool = False
    ) -> Any:
        text = given_text(var)
        if text is None or cast is None:
            return super().get_value(var, cast=cast, default=default, parse_default=parse_default)
        if cast in (int, float):
            return _number(var, text, cast)
        # Without the library's own reading, which takes a value with a leading `$` for the name of another variable.
        return self.parse_value(text, cast)

    def integer(self, name: str, default: int, *, least: int, most: int | None = None) -> int:
        """A whole number in these bounds. Raises ImproperlyConfigured for any other value."""
        number: int = self.int(name, default=default)
        return _bounded(name, number, least=least, most=most)

    def number(
        self,
        name: str,
        default: float,
        *,
        least: float | None = None,
        above: float | None = None,
        most: float | None = None,
    ) -> float:
        """A number of at least `least` or greater than `above`. Raises ImproperlyConfigured for any other value."""
        number: float = self.float(name, default=default)
        return _bounded(name, number, least=least, above=above, most=most)

    def choice(self, name: str, default: str, *others: str) -> str:
        """One of these words. Raises ImproperlyConfigured for any other value."""
        word: str = self.str(name, default=default)
        if word not in (default, *others):
            raise ImproperlyConfigured(f"{name} is one of {', '.join(f'`{each}`' for each in (default, *others))}.")
        return word

    def secrets(self, name: str) -> list[str]:
        """The values of a comma-separated list of secrets; none where it is not set."""
        return [value for value in map(str.strip, self.str(name, default="").split(",")) if value]


def given_text(name: str) -> str | None:
    """The value of a variable, or for a secret the content of its file; None where neither is set.

    Whitespace at the ends of a file, such as its last line break, is not part of the secret. Raises
    ImproperlyConfigured for a secret with two sources, and for a file that cannot be read.
    """
    text = os.environ.get(name)
    variable = file_variable(name)
    path = os.environ.get(variable) if name in SECRETS else None
    if not path:
        return text
    if text:
        raise ImproperlyConfigured(f"Both {name} and {variable} are set. Set one of them.")
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ImproperlyConfigured(f"{variable} names a file that cannot be read as text.") from error


def _bounded(
    name: str, number: Number, *, least: float | None = None, above: float | None = None, most: float | None = None
) -> Number:
    fits = (least is None or number >= least) and (above is None or number > above) and (most is None or number <= most)
    if not fits:
        bounds = [f"{least} or more" if least is not None else f"above {above}"]
        bounds += [f"{most} at most"] if most is not None else []
        raise ImproperlyConfigured(f"{name} is {', '.join(bounds)}.")
    return number


def _number(name: str, text: str, cast: Any) -> Any:
    try:
        number = cast(text)
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} is not a number.") from error
    if not math.isfinite(number):
        raise ImproperlyConfigured(f"{name} is not a finite number.")
    return number
