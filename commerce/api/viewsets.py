"""The base class of every endpoint: DRF's `ViewSet` without content negotiation and versions.

It runs the steps before a view (Accept header, authentication, permissions, throttling) and after it. There is one
format for requests and responses.
"""

from functools import cache
from typing import Any, NoReturn

from django.http import HttpRequest, HttpResponse
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import (
    AuthenticationFailed,
    MethodNotAllowed,
    NotAcceptable,
    NotAuthenticated,
    PermissionDenied,
)
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.request import Empty, Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from commerce.api.throttling import LEFT
from commerce.server.headers import remembered, set_headers
from commerce.server.json_codec import JSON, JSONRenderer, read_json
from commerce.server.problems import problem_response

_NEGOTIATION = DefaultContentNegotiation()
_RENDERER = JSONRenderer()


class ApiRequest(Request):
    """DRF's request, whose body is JSON or empty."""

    _full_data: Any

    @property
    def data(self) -> Any:
        """The parsed body. Raises ParseError, UnsupportedMediaType, RequestDataTooBig."""
        if self._full_data is Empty:
            self._full_data = read_json(self._request)
        return self._full_data


class ApiViewSet(ViewSet):
    """The base class of all viewsets."""

    # OPTIONS is not supported; `Allow` lists the methods that are.
    http_method_names = ["get", "head", "post", "put", "patch", "delete"]
    # Only the refusal of a method needs the list of methods.
    default_response_headers: dict[str, str] = {}
    _refused_token: AuthenticationFailed | None

    def initialize_request(self, request: HttpRequest, *_args: Any, **_kwargs: Any) -> ApiRequest:
        self.action = self.action_map.get(str(request.method).lower(), "")
        return ApiRequest(request, negotiator=_NEGOTIATION)

    def initial(self, request: Request, *_args: Any, **_kwargs: Any) -> None:
        """Raises NotAcceptable, and the errors of authentication, permissions and throttles."""
        accept = request._request.META.get("HTTP_ACCEPT")
        if accept is not None and not _takes_json(accept):
            raise NotAcceptable
        self.perform_authentication(request)
        self.check_permissions(request)
        self.check_throttles(request)

    def perform_authentication(self, request: Request) -> None:
        caller = None
        self._refused_token = None
        for authenticator in one_of_each(tuple(self.authentication_classes)):
            try:
                caller = authenticator.authenticate(request)
            except AuthenticationFailed as refusal:
                # Not an error for endpoints that anonymous callers may use.
                self._refused_token = refusal
            if caller is not None:
                break
        request.user, request.auth = caller or (None, None)  # type: ignore[assignment]  # a Caller is no User

    def permission_denied(self, request: Request, message: str | None = None, code: str | None = None) -> NoReturn:
        if self._refused_token is not None:
            raise self._refused_token
        raise NotAuthenticated if request.user is None else PermissionDenied

    def handle_exception(self, error: Exception) -> HttpResponse:  # type: ignore[override]  # rendered already
        response = problem_response(self.request._request, error)
        if isinstance(error, MethodNotAllowed):
            response.headers["Allow"] = ", ".join(self.allowed_methods)
        return response

    def finalize_response(  # type: ignore[override]  # most views return bytes that are already JSON
        self, request: Request, response: HttpResponse, *_args: Any, **_kwargs: Any
    ) -> HttpResponse:
        if isinstance(response, Response):
            vars(response).update(accepted_renderer=_RENDERER, accepted_media_type=JSON, renderer_context={})
            response.render()
        left = request._request.META.get(LEFT)
        if left is not None:
            set_headers(response, *left)
        return response


@cache
def one_of_each(kinds: tuple[type[BaseAuthentication], ...]) -> tuple[BaseAuthentication, ...]:
    """One instance of each class, shared by all requests: they keep no state of a request."""
    return tuple(kind() for kind in kinds)


@remembered
def _takes_json(accept: str) -> bool:
    """Whether DRF would respond with JSON to this Accept header."""
    request = HttpRequest()
    request.META["HTTP_ACCEPT"] = accept
    try:
        _NEGOTIATION.select_renderer(Request(request), [_RENDERER])
    except NotAcceptable:
        return False
    return True
