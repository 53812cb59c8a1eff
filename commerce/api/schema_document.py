"""The postprocessing hook of the OpenAPI document: everything that does not belong to a single operation.

Operations are described in `schema`, problems in `schema_problems`, webhooks in `schema_webhooks`.
"""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from django.utils import translation

from commerce.api.schema import TAGS
from commerce.api.schema_problems import COMPONENTS, Schema, name_of, problem_components
from commerce.api.schema_webhooks import event_components, webhooks
from commerce.server.problems import PROBLEM_JSON

EXAMPLES = Path(__file__).with_name("schema_examples.json")
"""Responses recorded by `tests/contract/test_examples.py`, which also compares them."""
_LARGEST_INT32 = 2**31 - 1
_ANYWHERE = ("internal_error", "method_not_allowed", "not_found")
"""Codes that operations do not list: a fault of the shop, and requests to an operation that does not exist."""


def complete(result: Schema, *_context: Any, **_more: Any) -> Schema:
    """The hook: returns the completed document."""
    with translation.override("en"):
        schemas = result["components"]["schemas"]
        named = set(_codes(result))
        schemas |= problem_components({*named, *_ANYWHERE}) | event_components()
        for operation in _operations(result):
            _close_body(operation, schemas)
            operation.setdefault("security", [])
            _add_default(operation)
            _add_examples(operation)
        result |= {
            "webhooks": webhooks(_examples()["events"]),
            "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        }
        result["components"]["examples"] = {
            code: {"summary": body["title"], "value": body} for code, body in _examples()["problems"].items()
        }
        result["components"]["schemas"] = dict(sorted(schemas.items()))
    _add_types(result)
    return result


@cache
def _examples() -> Schema:
    read: Schema = json.loads(EXAMPLES.read_text())
    return read


def _operations(result: Schema) -> Iterator[Schema]:
    for item in result["paths"].values():
        yield from item.values()


def _codes(result: Schema) -> Iterator[str]:
    for operation in _operations(result):
        for status, response in operation["responses"].items():
            if int(status) >= 400:
                yield from codes_of(response)


def codes_of(response: Schema) -> list[str]:
    """The codes of a response."""
    return [word.strip("`") for word in response["description"].split(", ")]


def _add_default(operation: Schema) -> None:
    """Add the default response: all other statuses are problems too."""
    any_problem = [{"$ref": COMPONENTS + name} for name in (*map(name_of, _ANYWHERE), "Problem")]
    operation["responses"]["default"] = {
        "description": "Any other status: a fault of the shop or of a proxy in front of it.",
        "content": {PROBLEM_JSON: {"schema": {"anyOf": any_problem}, "examples": _references(_ANYWHERE)}},
    }


def _add_examples(operation: Schema) -> None:
    for status, response in operation["responses"].items():
        for content in response.get("content", {}).values():
            if status == "200":
                content["example"] = _examples()["answers"].get(operation["operationId"])
            elif status != "default":
                content["examples"] = _references(codes_of(response))


def _references(codes: list[str] | tuple[str, ...]) -> Schema:
    return {code: {"$ref": f"#/components/examples/{code}"} for code in codes}


def _close_body(operation: Schema, components: Schema) -> None:
    """Disallow additional properties in bodies, as `BodySerializer` does."""
    for content in operation.get("requestBody", {}).get("content", {}).values():
        _close(content["schema"], components)


def _close(fragment: Schema, components: Schema) -> None:
    described = components[fragment["$ref"].rpartition("/")[2]] if "$ref" in fragment else fragment
    if "properties" in described:
        described["additionalProperties"] = False
    for inner in described.get("properties", {}).values():
        _close(inner.get("items", inner), components)


def _add_types(fragment: Any) -> None:
    """Add the format to every integer and the type to every enum."""
    if isinstance(fragment, list):
        for inner in fragment:
            _add_types(inner)
    elif isinstance(fragment, dict):
        kinds = fragment.get("type")
        if kinds == "integer" or (isinstance(kinds, list) and "integer" in kinds):
            is_small = fragment.get("maximum", _LARGEST_INT32 + 1) <= _LARGEST_INT32 or "const" in fragment
            fragment["format"] = "int32" if is_small else "int64"
        elif kinds is None and isinstance(fragment.get("enum"), list):
            values = fragment["enum"]
            fragment["type"] = {str: "string", bool: "boolean"}[type(values[0])]
            if len(values) == 1:
                fragment["const"] = fragment.pop("enum")[0]
        for name, inner in fragment.items():
            if name not in ("example", "examples"):
                _add_types(inner)
