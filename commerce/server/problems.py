"""Renders refusals and failures as `application/problem+json` (RFC 9457): the status and the body for each error."""

import logging
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Annotated, Any, TypedDict

from django.conf import settings
from django.core.exceptions import PermissionDenied as DjangoPermissionDenied
from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.cache import patch_vary_headers
from django.utils.encoding import escape_uri_path
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from msgspec import Meta
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework_simplejwt.exceptions import InvalidToken

from commerce.core import errors, metrics
from commerce.core.database_errors import unavailable
from commerce.server.json_codec import dump, json_response
from commerce.server.request_context import request_id

logger = logging.getLogger(__name__)

PROBLEM_JSON = "application/problem+json"

STATUS_OF_KIND: tuple[tuple[type[errors.DomainError], int], ...] = (
    (errors.Refused, HTTPStatus.BAD_REQUEST),
    (errors.Unauthenticated, HTTPStatus.UNAUTHORIZED),
    (errors.Forbidden, HTTPStatus.FORBIDDEN),
    (errors.NotFound, HTTPStatus.NOT_FOUND),
    (errors.Conflict, HTTPStatus.CONFLICT),
    (errors.Unprocessable, HTTPStatus.UNPROCESSABLE_ENTITY),
    (errors.Unavailable, HTTPStatus.SERVICE_UNAVAILABLE),
)


def status_of(kind: type[errors.DomainError]) -> int:
    """The HTTP status of a kind of refusal."""
    return next(int(status) for known, status in STATUS_OF_KIND if issubclass(kind, known))


def slug_of(code: str) -> str:
    """The last part of a problem's `type`."""
    return code.replace("_", "-")


def exception_handler(error: Exception, context: Mapping[str, Any]) -> HttpResponse:
    """DRF's exception handler for all API views."""
    request = context["request"]
    return problem_response(request._request if isinstance(request, Request) else request, error)


def problem_response(request: HttpRequest, error: Exception) -> HttpResponse:
    """The problem document for `error`, in the language of the request."""
    body = _describe(error)
    metrics.noted.append((metrics.add_refusals[body["code"]], 1))
    body.update(instance=escape_uri_path(request.path), requestId=request_id())
    response = json_response(dump(body), status=body["status"], content_type=PROBLEM_JSON)
    set_content_language(response, get_language() or settings.LANGUAGE_CODE)
    if body["status"] == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = 'Bearer realm="api"'
    retry_after = getattr(unavailable(error) or error, "retry_after_seconds", None) or getattr(error, "wait", None)
    if retry_after:
        response.headers["Retry-After"] = str(max(1, round(retry_after)))
    return response


def set_content_language(response: HttpResponse, language: str) -> None:
    """Set the headers of a response whose text depends on `Accept-Language`. `language` is empty if it is unknown."""
    if language:
        response.headers["Content-Language"] = language
    patch_vary_headers(response, ["Accept-Language"])


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """`handler400`: requests that Django itself refuses."""
    return problem_response(request, exception)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """`handler404`: there is nothing at this path."""
    return problem_response(request, Http404())


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """`handler403`."""
    return problem_response(request, DjangoPermissionDenied())


def server_error(request: HttpRequest) -> HttpResponse:
    """`handler500`: an error outside of the API's views. Django has logged it."""
    return problem_response(request, _Crash())


class PreconditionFailed(Exception):
    """The condition of the request is not met."""


class _Crash(Exception):
    pass


def _describe(error: Exception) -> dict[str, Any]:
    refusal = error if isinstance(error, errors.DomainError) else unavailable(error)
    if refusal is not None:
        return _problem(status_of(type(refusal)), refusal.code, refusal.title, refusal.detail, refusal.fields)
    if isinstance(error, exceptions.ValidationError):
        found = list(_validation_errors(error.get_full_details(), ""))
        detail = _("%(count)d value is invalid.") if len(found) == 1 else _("%(count)d values are invalid.")
        return _problem(
            400, "validation_error", _("Invalid request"), detail % {"count": len(found)}, {"errors": found}
        )
    if isinstance(error, RequestDataTooBig):
        detail = _("The body is larger than %(limit)d bytes.") % {"limit": settings.DATA_UPLOAD_MAX_MEMORY_SIZE}
        return _problem(413, "payload_too_large", _("Payload too large"), detail)
    for kinds, status, code, title, respond_with in _KNOWN:
        if isinstance(error, kinds):
            return _problem(
                status, code, _(title), _(respond_with) if respond_with else str(getattr(error, "detail", ""))
            )
    logger.error("Unexpected error", exc_info=error)
    return _problem(500, "internal_error", _("Internal error"), _("An internal error has occurred and was logged."))


def _problem(
    status: int, code: str, title: Any, detail: Any, fields: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    return {
        "type": f"/problems/{slug_of(code)}",
        "title": str(title),
        "status": int(status),
        "code": code,
        "detail": str(detail),
        **(fields or {}),
    }


def _noop(text: str) -> str:
    """Mark text for translation; it is translated when the problem is rendered."""
    return text


# Errors of Django and DRF: class, status, code, title and detail (empty: the message of the exception).
_KNOWN: tuple[tuple[tuple[type[Exception], ...], int, str, str, str], ...] = (
    (
        (InvalidToken,),
        401,
        "token_not_valid",
        _noop("Token not valid"),
        _noop("The token has expired or was not issued by this shop."),
    ),
    (
        (exceptions.NotAuthenticated,),
        401,
        "not_authenticated",
        _noop("Not authenticated"),
        _noop("Send `Authorization: Bearer <access>`."),
    ),
    (
        (exceptions.AuthenticationFailed,),
        401,
        "not_authenticated",
        _noop("Not authenticated"),
        _noop("These credentials are not valid."),
    ),
    (
        (exceptions.PermissionDenied, DjangoPermissionDenied),
        403,
        "permission_denied",
        _noop("Permission denied"),
        _noop("The caller does not have the permission."),
    ),
    (
        (exceptions.NotFound, Http404),
        404,
        "not_found",
        _noop("Not found"),
        _noop("There is no resource at this path."),
    ),
    (
        (PreconditionFailed,),
        412,
        "precondition_failed",
        _noop("Precondition failed"),
        _noop("The current page does not match `If-Match` or `If-Unmodified-Since`."),
    ),
    ((exceptions.MethodNotAllowed,), 405, "method_not_allowed", _noop("Method not allowed"), ""),
    (
        (exceptions.NotAcceptable,),
        406,
        "not_acceptable",
        _noop("Not acceptable"),
        _noop("The shop only responds in JSON."),
    ),
    (
        (exceptions.UnsupportedMediaType,),
        415,
        "unsupported_media_type",
        _noop("Unsupported media type"),
        _noop("Send the body as application/json."),
    ),
    (
        (exceptions.Throttled,),
        429,
        "throttled",
        _noop("Too many requests"),
        _noop("Wait a little, then try again."),
    ),
    ((exceptions.ParseError,), 400, "malformed_json", _noop("Malformed JSON"), ""),
    (
        (SuspiciousOperation,),
        400,
        "validation_error",
        _noop("Invalid request"),
        _noop("The request is not well-formed."),
    ),
)

# The problems of this module, by code: status, title, meaning.
OTHER_PROBLEMS: dict[str, tuple[int, str, str]] = {
    **{code: (status, title, respond_with) for _kinds, status, code, title, respond_with in _KNOWN},
    "not_authenticated": (
        401,
        _noop("Not authenticated"),
        _noop("The request has no access token, or its credentials are not valid."),
    ),
    "validation_error": (
        400,
        _noop("Invalid request"),
        _noop("The body or a parameter is invalid. `errors` has an entry for each field, with a code and a sentence."),
    ),
    "malformed_json": (400, _noop("Malformed JSON"), _noop("The body is not JSON. `detail` names line and column.")),
    "method_not_allowed": (
        405,
        _noop("Method not allowed"),
        _noop("The path does not support this method. `Allow` lists the supported ones."),
    ),
    "payload_too_large": (413, _noop("Payload too large"), _noop("The body is larger than the shop accepts.")),
    "internal_error": (500, _noop("Internal error"), _noop("An internal error. It has been logged.")),
}


class FieldError(TypedDict):
    field: Annotated[str, Meta(description="Path into the body or name of the parameter, such as `items.0.quantity`.")]
    code: Annotated[str, Meta(description="Why the value is invalid, such as `min_value` or `unknown_field`.")]
    message: Annotated[str, Meta(description="A sentence for a person, in the language of the request.")]


class FieldErrors(TypedDict, total=False):
    errors: Annotated[list[FieldError], Meta(description="An entry for each invalid value.")]


FIELDS_OF_OTHER_PROBLEMS: dict[str, type] = {"validation_error": FieldErrors}


def _validation_errors(details: Any, path: str) -> Iterator[dict[str, str]]:
    if isinstance(details, dict) and {"message", "code"} == details.keys() and isinstance(details["message"], str):
        yield {"field": path, "code": str(details["code"]), "message": str(details["message"])}
    elif isinstance(details, dict):
        for name, inner in details.items():
            yield from _validation_errors(inner, path if name == "non_field_errors" else _join(path, str(name)))
    elif isinstance(details, list):
        leaves = all(isinstance(inner, dict) and isinstance(inner.get("message"), str) for inner in details)
        for position, inner in enumerate(details):
            if inner:
                yield from _validation_errors(inner, path if leaves else _join(path, str(position)))


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
