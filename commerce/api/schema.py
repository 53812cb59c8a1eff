"""The OpenAPI schema of operations: `documented` describes the body, the responses and the refusals of each.

The shapes are defined by the apps' serializers and `schema_problems`, the rest of the document by `schema_document`.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema as SpectacularAutoSchema
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema, inline_serializer
from rest_framework import serializers

from commerce.api.fields import LARGEST_ID_IN_A_PATH
from commerce.api.schema_problems import one_of
from commerce.core.errors import DomainError, LockTimeout, ServiceUnavailable
from commerce.idempotency.errors import IdempotencyKeyReused, RequestInProgress
from commerce.server.problems import PROBLEM_JSON, status_of

TAGS = {
    "account": "Login, and the account of the caller.",
    "balance": "The wallet: balance, charges and history.",
    "coupons": "First-come coupons: open ones, issue, and those of a customer.",
    "orders": "Placing, reading, cancelling and refunding orders.",
    "products": "Products for sale, and the best sellers.",
    "reservations": "Units held for a cart until it is ordered or expires.",
    "webhooks": "For staff: subscriptions of third parties to events, and their calls.",
}
"""The tags and their descriptions. A tag applies to the operations whose path contains its name."""

F = TypeVar("F", bound=Callable[..., Any])


class AutoSchema(SpectacularAutoSchema):
    """Operations and their responses are described by `documented`; nothing is derived from class or method names."""

    def _is_list_view(self, serializer: Any = None) -> bool:
        # A `list` operation returns a page, an object described by `paged`. The library expects a bare array.
        return False

    def get_description(self) -> str:  # type: ignore[override]  # the library's, which DRF declares otherwise
        # Docstrings are for developers and do not belong in the schema.
        return ""

    def get_tags(self) -> list[str]:
        return [next((tag for tag in TAGS if tag in self.path.split("/")), "account")]


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # the library's metaclass
    """`Authorization: Bearer <access>`."""

    target_class = "commerce.api.authentication.TokenAuthentication"
    name = "bearer"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "The `access` token of `POST /api/auth/token`.",
        }


def paged(item: type[serializers.Serializer[Any]], *, counted: bool = False) -> serializers.Serializer[Any]:
    """The schema of a page of `item`s."""
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
    description="1 to 255 visible ASCII characters. A request is executed once per key within 24 hours.",
)
PATH_ID = {"type": "integer", "format": "int64", "minimum": 1, "maximum": LARGEST_ID_IN_A_PATH}


def _answer_header(
    name: str, schema: dict[str, Any], statuses: bool | Sequence[int], description: str, *, always: bool = True
) -> OpenApiParameter:
    """A response header for these statuses (True: all). With `always` each response has it, otherwise some do."""
    return OpenApiParameter(
        name, schema, OpenApiParameter.HEADER, required=always, response=statuses, description=description
    )


ANSWER_HEADERS = [
    _answer_header(
        "X-Request-ID",
        {"type": "string", "minLength": 1, "maxLength": 128},
        True,
        "The caller's id if it is valid, otherwise a new one.",
    ),
    _answer_header("Retry-After", {"type": "integer", "minimum": 1}, [429, 503], "Seconds to wait."),
    _answer_header("WWW-Authenticate", {"type": "string"}, [401], "The authentication scheme."),
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
    "ETag", {"type": "string", "pattern": '^"[0-9a-f]{32}"$'}, [200, 304], "For `If-None-Match` in the next request."
)

LIMIT_HEADERS = [
    _answer_header(
        "RateLimit-Policy",
        {"type": "string"},
        True,
        'The limit: `"writes";q=40;w=2` is a burst of 40, available again after 2 seconds.',
        always=False,
    ),
    _answer_header(
        "RateLimit",
        {"type": "string"},
        True,
        'The remaining quota: `"writes";r=38;t=1` is 38 now, and all of it after 1 second.',
        always=False,
    ),
]

# Refusals before any use case is called: code by status.
BODY_CODES = {
    400: ["validation_error", "malformed_json"],
    413: ["payload_too_large"],
    415: ["unsupported_media_type"],
}
PARAMETER_CODES = {400: ["validation_error"]}
CONDITION_CODES = {412: ["precondition_failed"]}
CALLER_CODES = {401: ["not_authenticated", "token_not_valid"]}
THROTTLED_CODES = {429: ["throttled"]}
# A path parameter that is not a number, or too large for an id, is not a route of the shop.
PATH_CODES = {404: ["not_found"]}
ALWAYS_CODES = {406: ["not_acceptable"]}


def _path_parameter(name: str) -> OpenApiParameter:
    """`orderId`: the id of the order."""
    thing = name.removesuffix("Id")
    return OpenApiParameter(name, PATH_ID, OpenApiParameter.PATH, description=f"The id of the {thing}.")


def documented(
    summary: str,
    description: str,
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
    """Describe one operation for clients: its purpose, body, response and refusal codes.

    `path_id` names the id in its path; `writes` adds the idempotency key and a limit; `limited` only the 429 of a
    limit; `acts_on_account` the 403 for another account; `cached` the 304.
    """
    codes: dict[int, list[str]] = defaultdict(list)
    known = [
        ALWAYS_CODES,
        # A write without a body also reads one, in order to refuse unknown fields.
        BODY_CODES if request is not None or writes else {},
        PARAMETER_CODES if parameters or cached else {},
        CONDITION_CODES if cached else {},
        PATH_CODES if path_id else {},
        THROTTLED_CODES if limited or writes else {},
    ]
    if not public:
        known.append(CALLER_CODES)
    if acts_on_account:
        known.append({403: ["permission_denied"]})
    # Reads also wait while a table is being altered.
    extra: list[type[DomainError]] = [ServiceUnavailable, LockTimeout]
    if writes:
        extra += [IdempotencyKeyReused, RequestInProgress]
    for table in known:
        for status, names in table.items():
            codes[status] += [name for name in names if name not in codes[status]]
    for refusal in (*refusals, *extra):
        codes[status_of(refusal)].append(refusal.code)
    responses: dict[Any, Any] = {200: OpenApiResponse(response, description="Done.")}
    if cached:
        responses[304] = OpenApiResponse(description="Unchanged since the ETag in `If-None-Match`.")
    for status, names in sorted(codes.items()):
        responses[status, PROBLEM_JSON] = OpenApiResponse(
            one_of(names),
            description=", ".join(f"`{name}`" for name in names),
        )
    decorate: Callable[[F], F] = extend_schema(
        operation_id=operation_id,
        summary=summary,
        description=description,
        request=request,
        responses=responses,
        parameters=[
            *([_path_parameter(path_id)] if path_id else []),
            *parameters,
            *([IDEMPOTENCY_KEY, REPLAYED, ORIGINAL] if writes else []),
            *([ETAG] if cached else []),
            *(LIMIT_HEADERS if limited or writes else []),
            *ANSWER_HEADERS,
        ],
        auth=[] if public else None,
    )
    return decorate
