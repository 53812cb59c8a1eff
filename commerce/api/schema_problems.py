"""The problems in the OpenAPI schema: a component for each code, with the fields of that problem.

`problem_catalogue` lists the problems, and `schema` assigns them to operations.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from commerce.api.problem_catalogue import Problem, catalogue
from commerce.server.problems import slug_of

COMPONENTS = "#/components/schemas/"

Schema = dict[str, Any]

# The fields of every problem.
_TITLE: Schema = {"type": "string", "description": "The kind of problem, for people."}
_DETAIL: Schema = {
    "type": "string",
    "description": "A description of the problem for people, in the language of the request.",
}
_INSTANCE: Schema = {"type": "string", "description": "The path of the request."}
_REQUEST_ID: Schema = {"type": "string", "description": "Include it when you report a fault."}


def name_of(code: str) -> str:
    """The name of a code's component, such as `OutOfStockProblem`."""
    return "".join(word.title() for word in code.split("_")) + "Problem"


def one_of(codes: Iterable[str]) -> Schema:
    """The schema of a problem with one of these codes."""
    mapping = {code: COMPONENTS + name_of(code) for code in codes}
    shapes = [{"$ref": path} for path in mapping.values()]
    if len(shapes) == 1:
        return shapes[0]
    return {"oneOf": shapes, "discriminator": {"propertyName": "code", "mapping": mapping}}


def problem_components(codes: Iterable[str]) -> dict[str, Schema]:
    """The components of these codes, and `Problem`, which covers all of them."""
    known = {problem.code: problem for problem in catalogue()}
    components: dict[str, Schema] = {
        "Problem": _problem(
            "Any problem (RFC 9457). Branch on `code`; handle unknown codes by their `status`.",
            {"type": "string", "format": "uri-reference", "description": "The URL of a page about the problem."},
            {"type": "integer", "minimum": 400, "maximum": 599},
            # Not an enum: strict clients must also accept a code that is new or that a proxy in front of the shop uses.
            {"anyOf": [{"$ref": COMPONENTS + "ProblemCode"}, {"type": "string"}]},
        ),
        "ProblemCode": {
            "type": "string",
            "enum": sorted(codes),
            "description": "New codes may be added. The meaning of a code never changes.",
        },
    }
    for code in sorted(codes):
        problem = known[code]
        own = own_fields(problem)
        described = _problem(
            " ".join([f"{problem.title}.", *map(str, problem.meanings), str(problem.advice)]),
            {"type": "string", "const": f"/problems/{slug_of(code)}"},
            {"type": "integer", "const": problem.status},
            {"type": "string", "const": code},
        )
        described["properties"] |= own.pop("properties")
        described["required"] += own.pop("required")
        components[name_of(code)] = described
        components |= own.pop("components")
    return components


def own_fields(problem: Problem) -> Schema:
    """The schema of a problem's own fields: `properties`, the `required` ones, and the `components` that they use."""
    shapes, components = msgspec.json.schema_components(
        [kind for kind in problem.kinds if kind is not object], ref_template=COMPONENTS + "{name}"
    )
    properties: Schema = {}
    required: set[str] = set()
    for shape in shapes:
        described = components.pop(shape["$ref"].removeprefix(COMPONENTS))
        properties |= described["properties"]
        required.update(described["required"])
    if object in problem.kinds:
        # One of its causes has no fields.
        required.clear()
    for component in components.values():
        # The type is already a named component.
        component.pop("title", None)
    return {"properties": properties, "required": sorted(required), "components": components}


@dataclass(frozen=True)
class ShownField:
    """A field of a problem, for a person."""

    name: str
    type: str
    """As `[{"productId": integer}]` or `"expired" | "used"`: the same in every language."""
    is_always_there: bool


def shown_fields(problem: Problem) -> list[ShownField]:
    """The fields beside the usual ones, by name."""
    own = own_fields(problem)
    return [
        ShownField(name, _in_short(fragment, own["components"]), name in own["required"])
        for name, fragment in sorted(own["properties"].items())
    ]


def _in_short(fragment: Schema, components: Schema) -> str:
    if "$ref" in fragment:
        return _in_short(components[fragment["$ref"].removeprefix(COMPONENTS)], components)
    if "enum" in fragment:
        return " | ".join(json.dumps(value) for value in fragment["enum"])
    if fragment["type"] == "array":
        return f"[{_in_short(fragment['items'], components)}]"
    if fragment["type"] == "object":
        fields = [f"{json.dumps(name)}: {_in_short(each, components)}" for name, each in fragment["properties"].items()]
        return "{" + ", ".join(fields) + "}"
    return str(fragment["type"])


def _problem(description: str, type_: Schema, status: Schema, code: Schema) -> Schema:
    properties = {
        "type": type_,
        "title": _TITLE,
        "status": status,
        "code": code,
        "detail": _DETAIL,
        "instance": _INSTANCE,
        "requestId": _REQUEST_ID,
    }
    return {"type": "object", "description": description, "properties": {**properties}, "required": list(properties)}
