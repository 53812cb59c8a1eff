"""The OpenAPI document for authors and generators of clients."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from commerce.api.problem_catalogue import Problem, catalogue
from commerce.api.schema_problems import COMPONENTS, name_of
from commerce.outbox.routes import WEBHOOKS, event_types_to
from tests.contract.test_routes_and_schema import CONTRACT
from tests.documented import schema

LARGEST_INT32 = 2**31 - 1


def fragments(node: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object of the document, without its examples, and its path."""
    if isinstance(node, dict):
        yield path, node
        for name, inner in node.items():
            if name not in ("example", "examples"):
                yield from fragments(inner, f"{path}/{name}")
    elif isinstance(node, list):
        for position, inner in enumerate(node):
            yield from fragments(inner, f"{path}/{position}")


def is_integer(fragment: dict[str, Any]) -> bool:
    kinds = fragment.get("type")
    return kinds == "integer" or (isinstance(kinds, list) and "integer" in kinds)


def test_every_integer_has_a_format() -> None:
    integers = {path: fragment for path, fragment in fragments(schema()) if is_integer(fragment)}
    assert len(integers) > 80
    for path, fragment in integers.items():
        fits = "const" in fragment or fragment.get("maximum", LARGEST_INT32 + 1) <= LARGEST_INT32
        assert fragment.get("format") == ("int32" if fits else "int64"), path


@pytest.mark.parametrize(
    ("shape", "names"),
    [
        ("Order", ["id", "userId", "userCouponId", "totalAmount", "discountAmount", "paidAmount"]),
        ("LedgerEntry", ["id", "amount", "balanceAfter", "orderId"]),
        ("InsufficientBalanceProblem", ["balance", "required"]),
    ],
)
def test_ids_and_amounts_need_64_bits(shape: str, names: list[str]) -> None:
    properties = schema()["components"]["schemas"][shape]["properties"]
    assert {name: properties[name]["format"] for name in names} == dict.fromkeys(names, "int64")


def test_it_has_servers_and_licence() -> None:
    document = schema()
    assert document["servers"] == [{"url": "/", "description": "The shop that served this document."}]
    assert document["info"]["license"] == {"name": "MIT", "identifier": "MIT"}
    assert document["info"]["contact"]


def test_every_operation_has_one_known_tag_and_a_description() -> None:
    operations = [schema()["paths"][path][method.lower()] for method, path in CONTRACT]
    assert all(len(operation["tags"]) == 1 for operation in operations)
    assert {tag for operation in operations for tag in operation["tags"]} == {tag["name"] for tag in schema()["tags"]}
    assert all(operation["description"].endswith(".") for operation in operations)


# Words of the code that users of the API do not know.
INTERNAL = re.compile(r"serializer|queryset|docstring|_as_json|declared|msgspec|django|\bviews?\b", re.IGNORECASE)


def test_it_has_no_internal_remarks() -> None:
    texts = [
        (path, fragment["description"])
        for path, fragment in fragments(schema())
        if isinstance(fragment.get("description"), str)
    ]
    assert len(texts) > 100
    assert [each for each in texts if INTERNAL.search(each[1])] == []


def api_problems() -> list[Problem]:
    codes = schema()["components"]["schemas"]["ProblemCode"]["enum"]
    return [problem for problem in catalogue() if problem.code in codes]


def test_every_problem_has_a_shape_of_its_own() -> None:
    shapes = schema()["components"]["schemas"]
    problems = api_problems()
    assert [problem.code for problem in problems] == shapes["ProblemCode"]["enum"]
    for problem in problems:
        shape = shapes[name_of(problem.code)]
        assert shape["properties"]["code"] == {"type": "string", "const": problem.code}
        assert shape["properties"]["status"]["const"] == problem.status
        assert set(shapes["Problem"]["required"]) <= set(shape["required"])


def test_the_fields_of_a_problem_are_typed() -> None:
    shapes = schema()["components"]["schemas"]
    usual = shapes["Problem"]["properties"].keys()
    own = [
        described
        for problem in api_problems()
        for field, described in shapes[name_of(problem.code)]["properties"].items()
        if field not in usual
    ]
    assert len(own) > 10
    assert all("type" in described or "$ref" in described for described in own)


def test_a_response_with_several_codes_has_a_schema_for_each() -> None:
    for method, path in CONTRACT:
        for status, response in schema()["paths"][path][method.lower()]["responses"].items():
            if status == "default" or int(status) < 400:
                continue
            codes = re.findall(r"`(\w+)`", response["description"])
            [content] = response["content"].values()
            given = content["schema"]
            shown = given["discriminator"]["mapping"] if "oneOf" in given else {codes[0]: given["$ref"]}
            assert shown == {code: COMPONENTS + name_of(code) for code in codes}


def test_it_describes_the_calls_to_those_who_subscribe() -> None:
    call = schema()["webhooks"]["subscribed-event"]["post"]
    names = {parameter["name"] for parameter in call["parameters"]}
    assert names == {"webhook-id", "webhook-timestamp", "webhook-signature"}
    assert call["requestBody"]["content"].keys() == {"application/json"}
    event = schema()["components"]["schemas"]["SubscribedEvent"]["properties"]
    assert event["type"]["enum"] == event_types_to(WEBHOOKS)


def test_it_describes_the_calls_to_the_data_platform() -> None:
    calls = {kind: item for kind, item in schema()["webhooks"].items() if kind != "subscribed-event"}
    assert calls.keys() == {"order-completed", "order-cancelled", "order-refunded"}
    for kind, item in calls.items():
        call = item["post"]
        assert {parameter["name"] for parameter in call["parameters"]} == {"Idempotency-Key", "X-Signature"}
        [content] = call["requestBody"]["content"].values()
        event = schema()["components"]["schemas"][content["schema"]["$ref"].removeprefix(COMPONENTS)]
        assert event["properties"]["type"]["const"] == kind
        of = "MadeRefund" if kind == "order-refunded" else "Order"
        assert event["properties"]["data"] == {"$ref": f"#/components/schemas/{of}"}
        assert content["example"]["type"] == kind


def test_its_version_is_the_newest_of_the_changelog() -> None:
    page = (Path(settings.BASE_DIR) / "docs" / "api.md").read_text()
    newest = re.search(r"^- \*\*([0-9.]+)\*\*", page.partition("## Changelog")[2], re.MULTILINE)
    assert newest is not None
    assert newest[1] == schema()["info"]["version"]
