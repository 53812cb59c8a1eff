"""The flat table of routes returns the same as Django's resolver: view, arguments, name and label."""

import re
from typing import Any

import pytest
from django.urls import Resolver404, get_resolver
from hypothesis import example, given
from hypothesis import strategies as st

from commerce.server.routes import Routes, routes
from tests.api.test_problems import UNKNOWN
from tests.contract.test_routes_and_schema import CONTRACT, OPERATIONS

PATHS = sorted({path for _, path in CONTRACT} | OPERATIONS)
IDS = ["1", "007", "9" * 18]


def found(resolver: Any, path: str) -> tuple[object, ...] | None:
    try:
        match = resolver.find(path) if isinstance(resolver, Routes) else resolver.resolve(path)
    except Resolver404:
        return None
    return match.func, match.args, match.kwargs, match.url_name, match.view_name, match.route, match.namespaces


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("number", IDS)
def test_every_route_of_the_contract_is_found_in_the_table(
    path: str, number: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = re.sub(r"\{\w+\}", number, path)
    meant = found(get_resolver(), path)
    assert meant is not None
    table = Routes(get_resolver())
    monkeypatch.setattr(table, "_resolver", None)
    assert found(table, path) == meant


@pytest.mark.parametrize("path", [*UNKNOWN, "/api/products\n", "/api/products/1\n", "/api/products/٣", "/admin/",
                                  "/api/products/" + "9" * 19])  # fmt: skip
def test_the_table_finds_no_more_than_the_resolver(path: str) -> None:
    assert found(routes(), path) == found(get_resolver(), path)


KNOWN_SEGMENTS = sorted({segment for path in PATHS for segment in path.split("/")})
SEGMENTS = st.sampled_from([*KNOWN_SEGMENTS, "1", "0", "42", "9" * 19, "-1", "x", "1\n", "admin"])


@given(st.lists(SEGMENTS, max_size=6).map(lambda segments: "/" + "/".join(segments)))
@example("/api/orders/1/cancel/")
def test_any_path_is_found_or_not_as_the_resolver_finds_it(path: str) -> None:
    assert found(routes(), path) == found(get_resolver(), path)
