from http import HTTPStatus
from typing import Any

import httpx

from ...client import AuthenticatedClient, Client
from ...models.balance_limit_exceeded_problem import BalanceLimitExceededProblem
from ...models.charge import Charge
from ...models.charge_request import ChargeRequest
from ...models.idempotency_key_reused_problem import IdempotencyKeyReusedProblem
from ...models.internal_error_problem import InternalErrorProblem
from ...models.lock_timeout_problem import LockTimeoutProblem
from ...models.malformed_json_problem import MalformedJsonProblem
from ...models.method_not_allowed_problem import MethodNotAllowedProblem
from ...models.not_acceptable_problem import NotAcceptableProblem
from ...models.not_authenticated_problem import NotAuthenticatedProblem
from ...models.not_found_problem import NotFoundProblem
from ...models.payload_too_large_problem import PayloadTooLargeProblem
from ...models.permission_denied_problem import PermissionDeniedProblem
from ...models.problem import Problem
from ...models.request_in_progress_problem import RequestInProgressProblem
from ...models.service_unavailable_problem import ServiceUnavailableProblem
from ...models.throttled_problem import ThrottledProblem
from ...models.token_not_valid_problem import TokenNotValidProblem
from ...models.unsupported_media_type_problem import UnsupportedMediaTypeProblem
from ...models.user_not_found_problem import UserNotFoundProblem
from ...models.validation_error_problem import ValidationErrorProblem
from ...types import UNSET, Response, Unset


def _get_kwargs(
    *,
    body: ChargeRequest,
    idempotency_key: str | Unset = UNSET,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}
    if not isinstance(idempotency_key, Unset):
        headers["Idempotency-Key"] = idempotency_key

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/api/balance/charge",
    }

    _kwargs["json"] = body.to_dict()

    headers["Content-Type"] = "application/json"

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> (
    BalanceLimitExceededProblem
    | MalformedJsonProblem
    | ValidationErrorProblem
    | Charge
    | IdempotencyKeyReusedProblem
    | InternalErrorProblem
    | MethodNotAllowedProblem
    | NotFoundProblem
    | Problem
    | LockTimeoutProblem
    | ServiceUnavailableProblem
    | NotAcceptableProblem
    | NotAuthenticatedProblem
    | TokenNotValidProblem
    | PayloadTooLargeProblem
    | PermissionDeniedProblem
    | RequestInProgressProblem
    | ThrottledProblem
    | UnsupportedMediaTypeProblem
    | UserNotFoundProblem
):
    if response.status_code == 200:
        response_200 = Charge.from_dict(response.json())

        return response_200

    if response.status_code == 400:

        def _parse_response_400(
            data: object,
        ) -> BalanceLimitExceededProblem | MalformedJsonProblem | ValidationErrorProblem:
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                response_400_type_0 = ValidationErrorProblem.from_dict(data)

                return response_400_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                response_400_type_1 = MalformedJsonProblem.from_dict(data)

                return response_400_type_1
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            if not isinstance(data, dict):
                raise TypeError()
            response_400_type_2 = BalanceLimitExceededProblem.from_dict(data)

            return response_400_type_2

        response_400 = _parse_response_400(response.json())

        return response_400

    if response.status_code == 401:

        def _parse_response_401(data: object) -> NotAuthenticatedProblem | TokenNotValidProblem:
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                response_401_type_0 = NotAuthenticatedProblem.from_dict(data)

                return response_401_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            if not isinstance(data, dict):
                raise TypeError()
            response_401_type_1 = TokenNotValidProblem.from_dict(data)

            return response_401_type_1

        response_401 = _parse_response_401(response.json())

        return response_401

    if response.status_code == 403:
        response_403 = PermissionDeniedProblem.from_dict(response.json())

        return response_403

    if response.status_code == 404:
        response_404 = UserNotFoundProblem.from_dict(response.json())

        return response_404

    if response.status_code == 406:
        response_406 = NotAcceptableProblem.from_dict(response.json())

        return response_406

    if response.status_code == 409:
        response_409 = RequestInProgressProblem.from_dict(response.json())

        return response_409

    if response.status_code == 413:
        response_413 = PayloadTooLargeProblem.from_dict(response.json())

        return response_413

    if response.status_code == 415:
        response_415 = UnsupportedMediaTypeProblem.from_dict(response.json())

        return response_415

    if response.status_code == 422:
        response_422 = IdempotencyKeyReusedProblem.from_dict(response.json())

        return response_422

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
    BalanceLimitExceededProblem
    | MalformedJsonProblem
    | ValidationErrorProblem
    | Charge
    | IdempotencyKeyReusedProblem
    | InternalErrorProblem
    | MethodNotAllowedProblem
    | NotFoundProblem
    | Problem
    | LockTimeoutProblem
    | ServiceUnavailableProblem
    | NotAcceptableProblem
    | NotAuthenticatedProblem
    | TokenNotValidProblem
    | PayloadTooLargeProblem
    | PermissionDeniedProblem
    | RequestInProgressProblem
    | ThrottledProblem
    | UnsupportedMediaTypeProblem
    | UserNotFoundProblem
]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    *,
    client: AuthenticatedClient,
    body: ChargeRequest,
    idempotency_key: str | Unset = UNSET,
) -> Response[
    BalanceLimitExceededProblem
    | MalformedJsonProblem
    | ValidationErrorProblem
    | Charge
    | IdempotencyKeyReusedProblem
    | InternalErrorProblem
    | MethodNotAllowedProblem
    | NotFoundProblem
    | Problem
    | LockTimeoutProblem
    | ServiceUnavailableProblem
    | NotAcceptableProblem
    | NotAuthenticatedProblem
    | TokenNotValidProblem
    | PayloadTooLargeProblem
    | PermissionDeniedProblem
    | RequestInProgressProblem
    | ThrottledProblem
    | UnsupportedMediaTypeProblem
    | UserNotFoundProblem
]:
    """Charge the balance

     Adds won to the caller's account. Staff with the permission can adjust another account, with a
    reason.

    Args:
        idempotency_key (str | Unset):
        body (ChargeRequest): A charge: amount and account.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[BalanceLimitExceededProblem | MalformedJsonProblem | ValidationErrorProblem | Charge | IdempotencyKeyReusedProblem | InternalErrorProblem | MethodNotAllowedProblem | NotFoundProblem | Problem | LockTimeoutProblem | ServiceUnavailableProblem | NotAcceptableProblem | NotAuthenticatedProblem | TokenNotValidProblem | PayloadTooLargeProblem | PermissionDeniedProblem | RequestInProgressProblem | ThrottledProblem | UnsupportedMediaTypeProblem | UserNotFoundProblem]
    """

    kwargs = _get_kwargs(
        body=body,
        idempotency_key=idempotency_key,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    *,
    client: AuthenticatedClient,
    body: ChargeRequest,
    idempotency_key: str | Unset = UNSET,
) -> (
    BalanceLimitExceededProblem
    | MalformedJsonProblem
    | ValidationErrorProblem
    | Charge
    | IdempotencyKeyReusedProblem
    | InternalErrorProblem
    | MethodNotAllowedProblem
    | NotFoundProblem
    | Problem
    | LockTimeoutProblem
    | ServiceUnavailableProblem
    | NotAcceptableProblem
    | NotAuthenticatedProblem
    | TokenNotValidProblem
    | PayloadTooLargeProblem
    | PermissionDeniedProblem
    | RequestInProgressProblem
    | ThrottledProblem
    | UnsupportedMediaTypeProblem
    | UserNotFoundProblem
    | None
):
    """Charge the balance

     Adds won to the caller's account. Staff with the permission can adjust another account, with a
    reason.

    Args:
        idempotency_key (str | Unset):
        body (ChargeRequest): A charge: amount and account.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        BalanceLimitExceededProblem | MalformedJsonProblem | ValidationErrorProblem | Charge | IdempotencyKeyReusedProblem | InternalErrorProblem | MethodNotAllowedProblem | NotFoundProblem | Problem | LockTimeoutProblem | ServiceUnavailableProblem | NotAcceptableProblem | NotAuthenticatedProblem | TokenNotValidProblem | PayloadTooLargeProblem | PermissionDeniedProblem | RequestInProgressProblem | ThrottledProblem | UnsupportedMediaTypeProblem | UserNotFoundProblem
    """

    return sync_detailed(
        client=client,
        body=body,
        idempotency_key=idempotency_key,
    ).parsed


async def asyncio_detailed(
    *,
    client: AuthenticatedClient,
    body: ChargeRequest,
    idempotency_key: str | Unset = UNSET,
) -> Response[
    BalanceLimitExceededProblem
    | MalformedJsonProblem
    | ValidationErrorProblem
    | Charge
    | IdempotencyKeyReusedProblem
    | InternalErrorProblem
    | MethodNotAllowedProblem
    | NotFoundProblem
    | Problem
    | LockTimeoutProblem
    | ServiceUnavailableProblem
    | NotAcceptableProblem
    | NotAuthenticatedProblem
    | TokenNotValidProblem
    | PayloadTooLargeProblem
    | PermissionDeniedProblem
    | RequestInProgressProblem
    | ThrottledProblem
    | UnsupportedMediaTypeProblem
    | UserNotFoundProblem
]:
    """Charge the balance

     Adds won to the caller's account. Staff with the permission can adjust another account, with a
    reason.

    Args:
        idempotency_key (str | Unset):
        body (ChargeRequest): A charge: amount and account.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[BalanceLimitExceededProblem | MalformedJsonProblem | ValidationErrorProblem | Charge | IdempotencyKeyReusedProblem | InternalErrorProblem | MethodNotAllowedProblem | NotFoundProblem | Problem | LockTimeoutProblem | ServiceUnavailableProblem | NotAcceptableProblem | NotAuthenticatedProblem | TokenNotValidProblem | PayloadTooLargeProblem | PermissionDeniedProblem | RequestInProgressProblem | ThrottledProblem | UnsupportedMediaTypeProblem | UserNotFoundProblem]
    """

    kwargs = _get_kwargs(
        body=body,
        idempotency_key=idempotency_key,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    *,
    client: AuthenticatedClient,
    body: ChargeRequest,
    idempotency_key: str | Unset = UNSET,
) -> (
    BalanceLimitExceededProblem
    | MalformedJsonProblem
    | ValidationErrorProblem
    | Charge
    | IdempotencyKeyReusedProblem
    | InternalErrorProblem
    | MethodNotAllowedProblem
    | NotFoundProblem
    | Problem
    | LockTimeoutProblem
    | ServiceUnavailableProblem
    | NotAcceptableProblem
    | NotAuthenticatedProblem
    | TokenNotValidProblem
    | PayloadTooLargeProblem
    | PermissionDeniedProblem
    | RequestInProgressProblem
    | ThrottledProblem
    | UnsupportedMediaTypeProblem
    | UserNotFoundProblem
    | None
):
    """Charge the balance

     Adds won to the caller's account. Staff with the permission can adjust another account, with a
    reason.

    Args:
        idempotency_key (str | Unset):
        body (ChargeRequest): A charge: amount and account.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        BalanceLimitExceededProblem | MalformedJsonProblem | ValidationErrorProblem | Charge | IdempotencyKeyReusedProblem | InternalErrorProblem | MethodNotAllowedProblem | NotFoundProblem | Problem | LockTimeoutProblem | ServiceUnavailableProblem | NotAcceptableProblem | NotAuthenticatedProblem | TokenNotValidProblem | PayloadTooLargeProblem | PermissionDeniedProblem | RequestInProgressProblem | ThrottledProblem | UnsupportedMediaTypeProblem | UserNotFoundProblem
    """

    return (
        await asyncio_detailed(
            client=client,
            body=body,
            idempotency_key=idempotency_key,
        )
    ).parsed
