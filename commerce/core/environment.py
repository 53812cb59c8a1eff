"""Reads settings from environment variables, and secrets from the files that variables name.

The settings themselves are defined in commerce/settings.py.
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
"""Settings that can be read from a file: SECRET_KEY_FILE names the file that contains SECRET_KEY."""


def file_variable(name: str) -> str:
    """The name of the variable that contains the path of the secret's file."""
    return f"{name}_FILE"


class Environment(environ.Env):
    """The environment. Error messages never contain a value, because it may be a secret in the wrong variable."""

    def get_value(
        self, var: str, cast: Any = None, default: Any = environ.Env.NOTSET, parse_default: bool = False
    ) -> Any:
        text = given_text(var)
        if text is None or cast is None:
            return super().get_value(var, cast=cast, default=default, parse_default=parse_default)
        if cast in (int, float):
            return _number(var, text, cast)
        # Does not call the library's own method, which treats a value with a leading `$` as the name of a variable.
        return self.parse_value(text, cast)

    def integer(self, name: str, default: int, *, least: int, most: int | None = None) -> int:
        """An integer within the bounds. Raises ImproperlyConfigured for any other value."""
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
        """A finite number >= `least` or > `above`. Raises ImproperlyConfigured for any other value."""
        number: float = self.float(name, default=default)
        return _bounded(name, number, least=least, above=above, most=most)

    def choice(self, name: str, default: str, *others: str) -> str:
        """One of the given values. Raises ImproperlyConfigured for any other value."""
        word: str = self.str(name, default=default)
        if word not in (default, *others):
            raise ImproperlyConfigured(
                f"{name} must be one of {', '.join(f'`{each}`' for each in (default, *others))}."
            )
        return word

    def secrets(self, name: str) -> list[str]:
        """The values of a comma-separated list of secrets; an empty list if it is not set."""
        return [value for value in map(str.strip, self.str(name, default="").split(",")) if value]


def given_text(name: str) -> str | None:
    """The value of a variable, or for a secret the content of its file; None if neither is set.

    Leading and trailing whitespace of the file is stripped. Raises ImproperlyConfigured if both sources are set, or if
    the file cannot be read.
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
        raise ImproperlyConfigured(f"{name} must be {', '.join(bounds)}.")
    return number


def _number(name: str, text: str, cast: Any) -> Any:
    try:
        number = cast(text)
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} is not a number.") from error
    if not math.isfinite(number):
        raise ImproperlyConfigured(f"{name} is not a finite number.")
    return number
