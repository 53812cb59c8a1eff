"""`/problems`: the pages that a problem's `type` links to."""

import re

import pytest
from django.test import Client

from commerce.api.problem_catalogue import Problem, catalogue
from commerce.api.schema_problems import own_fields
from tests.contract.test_routes_and_schema import CONTRACT, EVERYWHERE, LIMITED, WITH_BODY, WITH_TOKEN

EVERY_CODE = set().union(*(codes for _, codes in CONTRACT.values()), EVERYWHERE, LIMITED, WITH_BODY, WITH_TOKEN)


def test_the_type_of_a_problem_opens_its_page() -> None:
    problem = Client().get("/api/nothing").json()
    answer = Client().get(problem["type"])
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "<code>not_found</code>" in answer.content.decode()


@pytest.mark.parametrize("code", sorted(EVERY_CODE))
def test_every_code_of_the_contract_has_a_page_in_both_languages(code: str) -> None:
    path = f"/problems/{code.replace('_', '-')}"
    english, korean = (Client().get(path, headers={"Accept-Language": language}) for language in ("en", "ko"))
    assert (english.status_code, korean.status_code) == (200, 200)
    assert f"<code>{code}</code>" in english.content.decode()
    assert '<html lang="ko">' in korean.content.decode()
    assert re.search("[가-힣]", korean.content.decode())


def test_a_page_shows_the_problems_own_fields_with_types() -> None:
    english, korean = (page_of("out-of-stock", language) for language in ("en", "ko"))
    items = '[{"available": integer, "productId": integer, "requested": integer}]'
    assert f"<dd><code>items</code>: <code>{items}</code></dd>" in english
    assert f"<dd><code>items</code>: <code>{items}</code></dd>" in korean
    assert '<code>reason</code>: <code>"below_minimum" | "expired"' in page_of("coupon-not-usable", "en")
    assert "<code>true</code> (not always there)" in page_of("not-authenticated", "en")
    assert "Fields of its own" in english
    assert "Fields of its own" not in page_of("not-found", "en")


@pytest.mark.parametrize("problem", catalogue(), ids=lambda problem: problem.code)
def test_every_field_of_the_schema_is_on_its_page(problem: Problem) -> None:
    page = page_of(problem.slug, "en")
    shown = re.findall(r"<dd><code>(\w+)</code>: <code>[^<]+</code>", page)
    assert shown == sorted(own_fields(problem)["properties"])


def page_of(slug: str, language: str) -> str:
    return (
        Client().get(f"/problems/{slug}", headers={"Accept-Language": language}).content.decode().replace("&quot;", '"')
    )


def test_the_list_leads_to_every_page() -> None:
    page = Client().get("/problems").content.decode()
    for problem in catalogue():
        assert f'href="/problems/{problem.slug}"' in page


def test_only_temporary_problems_advise_a_retry() -> None:
    repeat = {"lock_timeout", "request_in_progress", "service_unavailable", "throttled"}
    assert {problem.code for problem in catalogue() if "Retry-After" in str(problem.advice)} == repeat
    assert {problem.code for problem in catalogue() if problem.may_pass} == repeat | {"internal_error"}


def test_an_unknown_problem_is_not_found() -> None:
    assert Client().get("/problems/nothing").json()["code"] == "not_found"


def test_a_page_is_read_only() -> None:
    assert Client().post("/problems/not-found").status_code == 405
