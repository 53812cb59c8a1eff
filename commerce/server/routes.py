"""Resolves API paths without walking through nested resolvers.

Contains a flat table of the routes outside the back-office, made from `commerce.urls`. Paths that are not in the table
are left to Django's resolver.
"""

import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from django.conf import settings
from django.urls import ResolverMatch, URLPattern, URLResolver, get_resolver
from django.urls.resolvers import RegexPattern

_NOT_LITERAL = re.compile(r"[^A-Za-z0-9/_-]")


class Routes:
    """The table of one resolver: paths without parameters by text, the others by pattern."""

    def __init__(self, resolver: URLResolver) -> None:
        self._resolver = resolver
        self._exact: dict[str, ResolverMatch] = {}
        self._with_parameters: list[tuple[Callable[[str], re.Match[str] | None], URLPattern, str]] = []
        for pattern, expression, route in _flat(resolver, "/", ""):
            self._add(pattern, expression, route)

    def find(self, path: str) -> ResolverMatch:
        """The result of `django.urls.resolve`. Raises Resolver404."""
        known = self._exact.get(path)
        if known is not None:
            return known
        for fits, pattern, route in self._with_parameters:
            found = fits(path)
            if found is not None:
                return ResolverMatch(pattern.callback, (), found.groupdict(), pattern.name, route=route)
        return self._resolver.resolve(path)

    def _add(self, pattern: URLPattern, expression: str, route: str) -> None:
        if not _NOT_LITERAL.search(expression):
            # All requests to this path share the match, which is never changed.
            self._exact.setdefault(expression, ResolverMatch(pattern.callback, (), {}, pattern.name, route=route))
        else:
            self._with_parameters.append((re.compile(expression).fullmatch, pattern, route))


@cache
def routes() -> Routes:
    """The routes of the shop."""
    return Routes(get_resolver())


def _flat(resolver: URLResolver, expression: str, route: str) -> Iterator[tuple[URLPattern, str, str]]:
    """Each pattern with the regular expression of its whole path and its route, as in `ResolverMatch`."""
    for pattern in resolver.url_patterns:
        own: Any = pattern.pattern
        inner = expression + own.regex.pattern.removeprefix("^").removesuffix("$").removesuffix(r"\Z")
        text = str(own)
        inner_route = route + (text.removeprefix("^") if route and isinstance(own, RegexPattern) else text)
        if inner.startswith(settings.BACK_OFFICE_PATH):
            continue
        if isinstance(pattern, URLResolver):
            yield from _flat(pattern, inner, inner_route)
        elif not own.converters and not pattern.default_args:
            yield pattern, inner, inner_route
