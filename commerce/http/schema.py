"""The OpenAPI schema: how an operation says what it takes, gives and refuses.

Owns the problem documents of the schema and `documented`; the shapes themselves are the apps' serializers.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema as SpectacularAutoSchema
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema, inline_serializer
from rest_framework import serializers

from commerce.core.errors import DomainError, LockTimeout, ServiceUnavailable
from commerce.http.fields import LARGEST_ID_IN_A_PATH
from commerce.http.problems import PROBLEM_JSON, status_of
from commerce.idempotency.errors import IdempotencyKeyReused, RequestInProgress

F = TypeVar("F", bound=Callable[..., Any])


class AutoSchema(SpectacularAutoSchema):
    """Operations and their answers are described by `documented`; nothing is guessed from class or method names."""

    def _is_list_view(self, serializer: Any = None) -> bool:
        # A `list` answers with a page, an object that `paged` describes, where the library expects a bare array.
        return False


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # the library's metaclass
    """`Authorization: Bearer <access>`."""

    target_class = "commerce.http.authentication.TokenAuthentication"
    name = "bearer"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}


def close_bodies(result: dict[str, Any], *_context: Any, **_more: Any) -> dict[str, Any]:
    """A postprocessing hook: bodies have no other fields than those that are described (`BodySerializer`)."""
    for item in result["paths"].values():
        for operation in item.values():
            for content in operation.get("requestBody", {}).get("content", {}).values():
                _close(content["schema"], result["components"]["schemas"])
    return result


def _close(fragment: dict[str, Any], components: dict[str, Any]) -> None:
    described = components[fragment["$ref"].rpartition("/")[2]] if "$ref" in fragment else fragment
    if "properties" in described:
        described["additionalProperties"] = False
    for inner in described.get("properties", {}).values():
        _close(inner.get("items", inner), components)


class FieldErrorSerializer(serializers.Serializer[Any]):
    field = serializers.CharField(
        allow_blank=True, help_text="Path into the body or name of the parameter, such as `items.0.quantity`."
    )
    code = serializers.CharField()
    message = serializers.CharField()


class ProblemSerializer(serializers.Serializer[Any]):
    """RFC 9457. `code` never changes; `title` and `detail` follow `Accept-Language`. Some codes add fields."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    code = serializers.CharField()
    detail = serializers.CharField(allow_blank=True)
    instance = serializers.CharField()
    requestId = serializers.CharField()

    def get_fields(self) -> dict[str, Any]:
        # `errors` is a name that serializers use themselves, so the field cannot be declared above.
        errors = FieldErrorSerializer(many=True, required=False, help_text="With `validation_error`.")
        return {**super().get_fields(), "errors": errors}


def paged(item: type[serializers.Serializer[Any]], *, counted: bool = False) -> serializers.Serializer[Any]:
    """The document of a page of `item`s."""
    fields: dict[str, Any] = {
        "next": serializers.URLField(allow_null=True),
        "previous": serializers.URLField(allow_null=True),
        "results": item(many=True),
    }
    if counted:
        fields = {"count": serializers.IntegerField(), **fields}
    return inline_serializer(item.__name__.replace("Serializer", "Page"), fields)


IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
    OpenApiParameter.HEADER,
    description="1 to 255 visible ASCII characters. The same key with the same request happens once, for 24 hours.",
)
PATH_ID = {"type": "integer", "format": "int64", "minimum": 1, "maximum": LARGEST_ID_IN_A_PATH}


def _answer_header(
    name: str, schema: dict[str, Any], statuses: bool | Sequence[int], description: str, *, always: bool = True
) -> OpenApiParameter:
    """A header of the answers of these statuses (True: of all): of each of them, or where `always` is not, of some."""
    return OpenApiParameter(
        name, schema, OpenApiParameter.HEADER, required=always, response=statuses, description=description
    )


ANSWER_HEADERS = [
    _answer_header(
        "X-Request-ID",
        {"type": "string", "minLength": 1, "maxLength": 128},
        True,
        "The caller's, where it was a sane one; else a new one.",
    ),
    _answer_header("Retry-After", {"type": "integer", "minimum": 1}, [429, 503], "Seconds to wait."),
    _answer_header("WWW-Authenticate", {"type": "string"}, [401], "How to say who is calling."),
]
REPLAYED = _answer_header(
    "Idempotent-Replayed",
    {"type": "string", "enum": ["true"]},
    [200, 400, 403, 404, 409],
    "With the first answer to an `Idempotency-Key`, given again.",
    always=False,
)
ORIGINAL = _answer_header(
    "Original-Request-ID",
    {"type": "string", "minLength": 1, "maxLength": 128},
    [400, 403, 404, 409],
    "With a problem that is given again: the request that it was first given to, which its `requestId` names.",
    always=False,
)
ETAG = _answer_header(
    "ETag", {"type": "string", "pattern": '^"[0-9a-f]{32}"$'}, [200, 304], "For `If-None-Match`, the next time."
)

# Refused before any use case is called: code by status.
BODY_CODES = {
    400: ["validation_error", "malformed_json"],
    413: ["payload_too_large"],
    415: ["unsupported_media_type"],
}
PARAMETER_CODES = {400: ["validation_error"]}
CONDITION_CODES = {412: ["precondition_failed"]}
CALLER_CODES = {401: ["not_authenticated", "token_not_valid"]}
THROTTLED_CODES = {429: ["throttled"]}
ALWAYS_CODES = {406: ["not_acceptable"]}


def documented(
    summary: str,
    *,
    response: Any,
    request: Any = None,
    refusals: Sequence[type[DomainError]] = (),
    parameters: Sequence[OpenApiParameter | type[serializers.Serializer[Any]]] = (),
    path_id: str = "",
    public: bool = False,
    acts_on_account: bool = False,
    writes: bool = False,
    limited: bool = False,
    cached: bool = False,
    operation_id: str,
) -> Callable[[F], F]:
    """Describe one operation: what it is for, its body, its answer, and every code it can refuse with.

    `path_id` names the identifier in its path; `writes` adds the idempotency key and a limit;
    `limited` the 429 of a limit alone; `acts_on_account` the 403 of someone else's account; `cached` the 304.
    """
    codes: dict[int, list[str]] = defaultdict(list)
    known = [
        ALWAYS_CODES,
        # A write that takes no body looks into one as well, to refuse what it does not take.
        BODY_CODES if request is not None or writes else {},
        PARAMETER_CODES if parameters or cached else {},
        CONDITION_CODES if cached else {},
        THROTTLED_CODES if limited or writes else {},
    ]
    if not public:
        known.append(CALLER_CODES)
    if acts_on_account:
        known.append({403: ["permission_denied"]})
    # Reads wait as well while a table is changed.
    extra: list[type[DomainError]] = [ServiceUnavailable, LockTimeout]
    if writes:
        extra += [IdempotencyKeyReused, RequestInProgress]
    for table in known:
        for status, names in table.items():
            codes[status] += [name for name in names if name not in codes[status]]
    for refusal in (*refusals, *extra):
        codes[status_of(refusal)].append(refusal.code)
    responses: dict[Any, Any] = {200: response}
    if cached:
        responses[304] = OpenApiResponse(description="Unchanged since the ETag in `If-None-Match`.")
    for status, names in sorted(codes.items()):
        responses[status, PROBLEM_JSON] = OpenApiResponse(ProblemSerializer, description=_listing(names))
    decorate: Callable[[F], F] = extend_schema(
        operation_id=operation_id,
        summary=summary,
        request=request,
        responses=responses,
        parameters=[
            *([OpenApiParameter(path_id, PATH_ID, OpenApiParameter.PATH)] if path_id else []),
            *parameters,
            *([IDEMPOTENCY_KEY, REPLAYED, ORIGINAL] if writes else []),
            *([ETAG] if cached else []),
            *ANSWER_HEADERS,
        ],
        auth=[] if public else None,
    )
    return decorate


def _listing(codes: Iterable[str]) -> str:
    return ", ".join(f"`{code}`" for code in codes)
