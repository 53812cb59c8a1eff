"""Every answer held against the OpenAPI schema, so that what is documented cannot drift from what is sent.

Owns the comparison; the schema is the one that `/api/schema` serves. Never looser than the schema: an answer with a
field that is not documented fails too.
"""

import copy
import re
import threading
from functools import cache
from typing import Any
from urllib.parse import unquote

from django.http import HttpResponse
from drf_spectacular.generators import SchemaGenerator
from jsonschema import Draft202012Validator

from commerce.http.schema_problems import COMPONENTS, name_of

PROBLEM_JSON = "application/problem+json"
_making = threading.Lock()
METHODS = ("get", "post", "put", "patch", "delete")

# What is said where there is no such operation.
NO_OPERATION = {"not_found": 404, "method_not_allowed": 405, "not_authenticated": 401, "not_acceptable": 406}


def schema() -> dict[str, Any]:
    """The generated OpenAPI document."""
    # One thread makes it: the library's first generation is not safe among several.
    with _making:
        return _schema()


@cache
def _schema() -> dict[str, Any]:
    document: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
    return document


def operations() -> set[tuple[str, str]]:
    """Method and path of every documented operation."""
    return {(method.upper(), path) for path, item in schema()["paths"].items() for method in item if method in METHODS}


def check(method: str, path: str, response: HttpResponse) -> None:
    """Fails when the schema does not foresee this status, content type, code or body at this path."""
    operation = _operation(method, path)
    body = _json(response)
    if response.status_code >= 400:
        _check_problem(operation, path, response, body)
    elif operation is not None:
        documented = _documented_response(operation, response)
        if response.status_code != 304:
            content = documented["content"]
            assert response.headers["Content-Type"] in content
            _check_body(content[response.headers["Content-Type"]]["schema"], body)


def _check_problem(operation: dict[str, Any] | None, path: str, response: HttpResponse, body: Any) -> None:
    assert response.headers["Content-Type"] == PROBLEM_JSON, response.content[:300]
    code, status = body["code"], response.status_code
    assert body["status"] == status
    assert body["type"] == "/problems/" + code.replace("_", "-")
    assert unquote(body["instance"]) == unquote(path)
    # A replay repeats the first answer byte for byte, its request id included.
    assert body["requestId"] == response.headers.get("Original-Request-ID", response.headers["X-Request-ID"])
    assert body["title"]
    if operation is None:
        assert NO_OPERATION.get(code) == status
        _check_body({"$ref": COMPONENTS + name_of(code)}, body)
    else:
        documented = _documented_response(operation, response)
        described = documented["description"]
        assert f"`{code}`" in described, f"{code} is not documented for {operation['operationId']}: {described}"
        _check_body(documented["content"][PROBLEM_JSON]["schema"], body)


def _documented_response(operation: dict[str, Any], response: HttpResponse) -> dict[str, Any]:
    responses: dict[str, dict[str, Any]] = operation["responses"]
    status = str(response.status_code)
    assert status in responses, f"{operation['operationId']} does not document {status}: {response.content[:300]!r}"
    return responses[status]


def _operation(method: str, path: str) -> dict[str, Any] | None:
    # The more literal path first: /api/products/popular is not a product named "popular".
    for template in sorted(schema()["paths"], key=lambda each: each.count("{")):
        pattern = re.sub(r"\\\{[^}]*\\\}", "[0-9]{1,18}", re.escape(template))
        if re.fullmatch(pattern, path):
            operation: dict[str, Any] | None = schema()["paths"][template].get(method.lower())
            return operation
    return None


def _check_body(fragment: dict[str, Any], body: Any) -> None:
    validator = Draft202012Validator({**fragment, "components": _closed_components()})
    problems = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(body)]
    assert not problems, problems


@cache
def _closed_components() -> dict[str, Any]:
    components = copy.deepcopy(schema()["components"])
    for name, component in components["schemas"].items():
        # What any problem has; each code adds its own fields.
        if "properties" in component and name != "Problem":
            component["additionalProperties"] = False
    return {"schemas": components["schemas"]}


def _json(response: HttpResponse) -> Any:
    if not response.content:
        return None
    return response.json()  # type: ignore[attr-defined]  # the test client adds it
