from http import HTTPStatus
from typing import Any

import httpx

from ...client import AuthenticatedClient, Client
from ...models.internal_error_problem import InternalErrorProblem
from ...models.lock_timeout_problem import LockTimeoutProblem
from ...models.malformed_json_problem import MalformedJsonProblem
from ...models.method_not_allowed_problem import MethodNotAllowedProblem
from ...models.not_acceptable_problem import NotAcceptableProblem
from ...models.not_authenticated_problem import NotAuthenticatedProblem
from ...models.not_found_problem import NotFoundProblem
from ...models.payload_too_large_problem import PayloadTooLargeProblem
from ...models.problem import Problem
from ...models.service_unavailable_problem import ServiceUnavailableProblem
from ...models.throttled_problem import ThrottledProblem
from ...models.token import Token
from ...models.token_request import TokenRequest
from ...models.unsupported_media_type_problem import UnsupportedMediaTypeProblem
from ...models.validation_error_problem import ValidationErrorProblem
from ...types import Response


def _get_kwargs(
    *,
    body: TokenRequest,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/api/auth/token",
    }

    _kwargs["json"] = body.to_dict()

    headers["Content-Type"] = "application/json"

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> (
    InternalErrorProblem
    | MethodNotAllowedProblem
    | NotFoundProblem
    | Problem
    | LockTimeoutProblem
    | ServiceUnavailableProblem
    | MalformedJsonProblem
    | ValidationErrorProblem
    | NotAcceptableProblem
    | NotAuthenticatedProblem
    | PayloadTooLargeProblem
    | ThrottledProblem
    | Token
    | UnsupportedMediaTypeProblem
):
    if response.status_code == 200:
        response_200 = Token.from_dict(response.json())

        return response_200

    if response.status_code == 400:

        def _parse_response_400(data: object) -> MalformedJsonProblem | ValidationErrorProblem:
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                response_400_type_0 = ValidationErrorProblem.from_dict(data)

                return response_400_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            if not isinstance(data, dict):
                raise TypeError()
            response_400_type_1 = MalformedJsonProblem.from_dict(data)

            return response_400_type_1

        response_400 = _parse_response_400(response.json())

        return response_400

    if response.status_code == 401:
        response_401 = NotAuthenticatedProblem.from_dict(response.json())

        return response_401

    if response.status_code == 406:
        response_406 = NotAcceptableProblem.from_dict(response.json())

        return response_406

    if response.status_code == 413:
        response_413 = PayloadTooLargeProblem.from_dict(response.json())

        return response_413

    if response.status_code == 415:
        response_415 = UnsupportedMediaTypeProblem.from_dict(response.json())

        return response_415

    if response.status_code == 429:
        response_429 = ThrottledProblem.from_dict(response.json())

        return response_429

    if response.status_code == 503:

        def _parse_response_503(data: object) -> LockTimeoutProblem | ServiceUnavailableProblem:
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                response_503_type_0 = ServiceUnavailableProblem.from_dict(data)

                return response_503_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            if not isinstance(data, dict):
                raise TypeError()
            response_503_type_1 = LockTimeoutProblem.from_dict(data)

            return response_503_type_1

        response_503 = _parse_response_503(response.json())

        return response_503

    def _parse_response_default(
        data: object,
    ) -> InternalErrorProblem | MethodNotAllowedProblem | NotFoundProblem | Problem:
        try:
            if not isinstance(data, dict):
                raise TypeError()
            response_default_type_0 = InternalErrorProblem.from_dict(data)

            return response_default_type_0
        except (TypeError, ValueError, AttributeError, KeyError):
            pass
        try:
            if not isinstance(data, dict):
                raise TypeError()
            response_default_type_1 = MethodNotAllowedProblem.from_dict(data)

            return response_default_type_1
        except (TypeError, ValueError, AttributeError, KeyError):
            pass
        try:
            if not isinstance(data, dict):
                raise TypeError()
            response_default_type_2 = NotFoundProblem.from_dict(data)

            return response_default_type_2
        except (TypeError, ValueError, AttributeError, KeyError):
            pass
        if not isinstance(data, dict):
            raise TypeError()
        response_default_type_3 = Problem.from_dict(data)

        return response_default_type_3

    response_default = _parse_response_default(response.json())

    return response_default


def _build_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> Response[
    InternalErrorProblem
    | MethodNotAllowedProblem
    | NotFoundProblem
    | Problem
    | LockTimeoutProblem
    | ServiceUnavailableProblem
    | MalformedJsonProblem
    | ValidationErrorProblem
    | NotAcceptableProblem
    | NotAuthenticatedProblem
    | PayloadTooLargeProblem
    | ThrottledProblem
    | Token
    | UnsupportedMediaTypeProblem
]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    *,
    client: AuthenticatedClient | Client,
    body: TokenRequest,
) -> Response[
    InternalErrorProblem
    | MethodNotAllowedProblem
    | NotFoundProblem
    | Problem
    | LockTimeoutProblem
    | ServiceUnavailableProblem
    | MalformedJsonProblem
    | ValidationErrorProblem
    | NotAcceptableProblem
    | NotAuthenticatedProblem
    | PayloadTooLargeProblem
    | ThrottledProblem
    | Token
    | UnsupportedMediaTypeProblem
]:
    """Log in

     Exchanges a name and a password for an access token and a refresh token.

    Args:
        body (TokenRequest): Name and password. Spaces at the end of a password are significant.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[InternalErrorProblem | MethodNotAllowedProblem | NotFoundProblem | Problem | LockTimeoutProblem | ServiceUnavailableProblem | MalformedJsonProblem | ValidationErrorProblem | NotAcceptableProblem | NotAuthenticatedProblem | PayloadTooLargeProblem | ThrottledProblem | Token | UnsupportedMediaTypeProblem]
    """

    kwargs = _get_kwargs(
        body=body,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    *,
    client: AuthenticatedClient | Client,
    body: TokenRequest,
) -> (
    InternalErrorProblem
    | MethodNotAllowedProblem
    | NotFoundProblem
    | Problem
    | LockTimeoutProblem
    | ServiceUnavailableProblem
    | MalformedJsonProblem
    | ValidationErrorProblem
    | NotAcceptableProblem
    | NotAuthenticatedProblem
    | PayloadTooLargeProblem
    | ThrottledProblem
    | Token
    | UnsupportedMediaTypeProblem
    | None
):
    """Log in

     Exchanges a name and a password for an access token and a refresh token.

    Args:
        body (TokenRequest): Name and password. Spaces at the end of a password are significant.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        InternalErrorProblem | MethodNotAllowedProblem | NotFoundProblem | Problem | LockTimeoutProblem | ServiceUnavailableProblem | MalformedJsonProblem | ValidationErrorProblem | NotAcceptableProblem | NotAuthenticatedProblem | PayloadTooLargeProblem | ThrottledProblem | Token | UnsupportedMediaTypeProblem
    """

    return sync_detailed(
        client=client,
        body=body,
    ).parsed


async def asyncio_detailed(
    *,
    client: AuthenticatedClient | Client,
    body: TokenRequest,
) -> Response[
    InternalErrorProblem
    | MethodNotAllowedProblem
    | NotFoundProblem
    | Problem
    | LockTimeoutProblem
    | ServiceUnavailableProblem
    | MalformedJsonProblem
    | ValidationErrorProblem
    | NotAcceptableProblem
    | NotAuthenticatedProblem
    | PayloadTooLargeProblem
    | ThrottledProblem
    | Token
    | UnsupportedMediaTypeProblem
]:
    """Log in

     Exchanges a name and a password for an access token and a refresh token.

    Args:
        body (TokenRequest): Name and password. Spaces at the end of a password are significant.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[InternalErrorProblem | MethodNotAllowedProblem | NotFoundProblem | Problem | LockTimeoutProblem | ServiceUnavailableProblem | MalformedJsonProblem | ValidationErrorProblem | NotAcceptableProblem | NotAuthenticatedProblem | PayloadTooLargeProblem | ThrottledProblem | Token | UnsupportedMediaTypeProblem]
    """

    kwargs = _get_kwargs(
        body=body,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    *,
    client: AuthenticatedClient | Client,
    body: TokenRequest,
) -> (
    InternalErrorProblem
    | MethodNotAllowedProblem
    | NotFoundProblem
    | Problem
    | LockTimeoutProblem
    | ServiceUnavailableProblem
    | MalformedJsonProblem
    | ValidationErrorProblem
    | NotAcceptableProblem
    | NotAuthenticatedProblem
    | PayloadTooLargeProblem
    | ThrottledProblem
    | Token
    | UnsupportedMediaTypeProblem
    | None
):
    """Log in

     Exchanges a name and a password for an access token and a refresh token.

    Args:
        body (TokenRequest): Name and password. Spaces at the end of a password are significant.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        InternalErrorProblem | MethodNotAllowedProblem | NotFoundProblem | Problem | LockTimeoutProblem | ServiceUnavailableProblem | MalformedJsonProblem | ValidationErrorProblem | NotAcceptableProblem | NotAuthenticatedProblem | PayloadTooLargeProblem | ThrottledProblem | Token | UnsupportedMediaTypeProblem
    """

    return (
        await asyncio_detailed(
            client=client,
            body=body,
        )
    ).parsed
