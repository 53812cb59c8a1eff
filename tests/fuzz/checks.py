"""Additional checks of schemathesis for every response; it loads this module as its `hooks`.

Contains the reasons for which a request that conforms to the schema may be refused. Sends no requests.
"""

import base64
import json
from collections.abc import Iterator
from typing import Any

import schemathesis

NOT_WELL_FORMED = {"validation_error", "malformed_json"}

# Rules that a schema cannot express: the field, and the code of its refusal.
BEYOND_THE_SCHEMA: dict[tuple[str, str], str] = {
    ("cursor", "invalid"): "A cursor is what the shop gave out; how it looks is nobody's business.",
    ("page", "invalid"): "Which page is the last depends on what the shop sells.",
    ("to", "invalid"): "`to` before `from`: a parameter's schema knows no other parameter.",
    ("from", "out_of_range"): "A day of the shop's range of years: `format: date` knows no bounds.",
    ("to", "out_of_range"): "The same.",
    ("reason", "required"): "Needed for another's account only, which the body or the path names.",
    ("reason", "unknown_field"): "Refused for one's own.",
    ("reason", "null_characters_not_allowed"): "PostgreSQL stores no NUL in text.",
    ("name", "null_characters_not_allowed"): "The same.",
    ("url", "null_characters_not_allowed"): "The same.",
    ("eventTypes", "unique"): "The list serializer of DRF emits no `uniqueItems`.",
    ("reason", "blank"): "Spaces only: `minLength` counts them.",
    ("name", "blank"): "The same.",
    ("url", "blank"): "The same.",
    ("name", "unseen_character"): "Which characters are invisible depends on Unicode.",
    ("url", "url_not_allowed"): "Which addresses a webhook may have depends on settings and on the network.",
    ("items", "required"): "Needed unless a reservation is paid.",
    ("items", "not_with_reservation"): "Refused where a reservation is paid, which has its own.",
    ("items.*.productId", "unique"): "The same product twice: `uniqueItems` compares whole items.",
}


@schemathesis.check
def a_request_that_fits_the_schema_is_not_called_unfit(
    ctx: schemathesis.CheckContext, response: schemathesis.Response, case: "schemathesis.Case[Any]"
) -> None:
    """Stricter than `positive_data_acceptance`, which only checks statuses: 400 is also used for "sold out"."""
    if case.meta is None or not case.meta.generation.mode.is_positive or response.status_code != 400:
        return
    problem = response.json()
    if problem["code"] not in NOT_WELL_FORMED:
        return
    for error in problem.get("errors") or [{"field": "", "code": problem["code"]}]:
        path = error["field"].split(".")
        field = ".".join("*" if part.isdigit() else part for part in path)
        known = (field, error["code"]) in BEYOND_THE_SCHEMA or isinstance(_at(path, case.body), float)
        assert known, f"The schema allows what the shop calls unfit: {error}"


@schemathesis.check
def responses_contain_no_other_customers(
    ctx: schemathesis.CheckContext, response: schemathesis.Response, case: "schemathesis.Case[Any]"
) -> None:
    """A response to a customer never contains another customer, whatever the request."""
    caller = _caller(str(response.request.headers.get("Authorization", "")))
    if caller is None or caller.get("isStaff") or not 200 <= response.status_code < 300:
        return
    others = set(_user_ids(response.json())) - {caller["userId"]}
    assert not others, f"Customer {caller['userId']} was told of {others}."


@schemathesis.check
def the_status_is_documented_by_its_number(
    ctx: schemathesis.CheckContext, response: schemathesis.Response, case: "schemathesis.Case[Any]"
) -> None:
    """Stricter than `status_code_conformance`, for which `default` documents every status."""
    if case.method.upper() == case.operation.method.upper():
        assert str(response.status_code) in case.operation.definition.raw["responses"]


def _at(path: list[str], body: Any) -> Any:
    """The value at this position in a body, or None.

    A float that fits the schema is a whole number such as `1.0`: an integer to JSON Schema, and none to the shop.
    """
    for part in path:
        if isinstance(body, list) and part.isdigit() and int(part) < len(body):
            body = body[int(part)]
        else:
            body = body.get(part) if isinstance(body, dict) else None
    return body


def _caller(authorization: str) -> dict[str, Any] | None:
    """The claims of the token; None if it is not a token."""
    try:
        payload = authorization.removeprefix("Bearer ").split(".")[1]
        claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (IndexError, ValueError):
        return None
    return claims if "userId" in claims else None


def _user_ids(body: Any) -> Iterator[int]:
    if isinstance(body, dict):
        if "userId" in body:
            yield body["userId"]
        for inner in body.values():
            yield from _user_ids(inner)
    elif isinstance(body, list):
        for inner in body:
            yield from _user_ids(inner)
