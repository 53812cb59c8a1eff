from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import httpx

from ...client import AuthenticatedClient, Client
from ...models.cancel_request import CancelRequest
from ...models.idempotency_key_reused_problem import IdempotencyKeyReusedProblem
from ...models.internal_error_problem import InternalErrorProblem
from ...models.lock_timeout_problem import LockTimeoutProblem
from ...models.malformed_json_problem import MalformedJsonProblem
from ...models.method_not_allowed_problem import MethodNotAllowedProblem
from ...models.not_acceptable_problem import NotAcceptableProblem
from ...models.not_authenticated_problem import NotAuthenticatedProblem
from ...models.not_found_problem import NotFoundProblem
from ...models.order import Order
from ...models.order_not_cancellable_problem import OrderNotCancellableProblem
from ...models.order_not_found_problem import OrderNotFoundProblem
from ...models.payload_too_large_problem import PayloadTooLargeProblem
from ...models.permission_denied_problem import PermissionDeniedProblem
from ...models.problem import Problem
from ...models.request_in_progress_problem import RequestInProgressProblem
from ...models.service_unavailable_problem import ServiceUnavailableProblem
from ...models.throttled_problem import ThrottledProblem
from ...models.token_not_valid_problem import TokenNotValidProblem
from ...models.unsupported_media_type_problem import UnsupportedMediaTypeProblem
from ...models.validation_error_problem import ValidationErrorProblem
from ...types import UNSET, Response, Unset


def _get_kwargs(
    order_id: int,
    *,
    body: CancelRequest | Unset = UNSET,
    idempotency_key: str | Unset = UNSET,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}
    if not isinstance(idempotency_key, Unset):
        headers["Idempotency-Key"] = idempotency_key

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/api/orders/{order_id}/cancel".format(
            order_id=quote(str(order_id), safe=""),
        ),
    }

    if not isinstance(body, Unset):
        _kwargs["json"] = body.to_dict()

    headers["Content-Type"] = "application/json"

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> (
    IdempotencyKeyReusedProblem
    | InternalErrorProblem
    | MethodNotAllowedProblem
    | NotFoundProblem
    | Problem
    | LockTimeoutProblem
    | ServiceUnavailableProblem
    | MalformedJsonProblem
    | ValidationErrorProblem
    | NotAcceptableProblem
    | NotAuthenticatedProblem
    | TokenNotValidProblem
    | NotFoundProblem
    | OrderNotFoundProblem
    | Order
    | OrderNotCancellableProblem
    | RequestInProgressProblem
    | PayloadTooLargeProblem
    | PermissionDeniedProblem
    | ThrottledProblem
    | UnsupportedMediaTypeProblem
):
    if response.status_code == 200:
        response_200 = Order.from_dict(response.json())

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

        def _parse_response_404(data: object) -> NotFoundProblem | OrderNotFoundProblem:
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                response_404_type_0 = NotFoundProblem.from_dict(data)

                return response_404_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            if not isinstance(data, dict):
                raise TypeError()
            response_404_type_1 = OrderNotFoundProblem.from_dict(data)

            return response_404_type_1

        response_404 = _parse_response_404(response.json())

        return response_404

    if response.status_code == 406:
        response_406 = NotAcceptableProblem.from_dict(response.json())

        return response_406

    if response.status_code == 409:

        def _parse_response_409(data: object) -> OrderNotCancellableProblem | RequestInProgressProblem:
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                response_409_type_0 = OrderNotCancellableProblem.from_dict(data)

                return response_409_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            if not isinstance(data, dict):
                raise TypeError()
            response_409_type_1 = RequestInProgressProblem.from_dict(data)

            return response_409_type_1

        response_409 = _parse_response_409(response.json())

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
    IdempotencyKeyReusedProblem
    | InternalErrorProblem
    | MethodNotAllowedProblem
    | NotFoundProblem
    | Problem
    | LockTimeoutProblem
    | ServiceUnavailableProblem
    | MalformedJsonProblem
    | ValidationErrorProblem
    | NotAcceptableProblem
    | NotAuthenticatedProblem
    | TokenNotValidProblem
    | NotFoundProblem
    | OrderNotFoundProblem
    | Order
    | OrderNotCancellableProblem
    | RequestInProgressProblem
    | PayloadTooLargeProblem
    | PermissionDeniedProblem
    | ThrottledProblem
    | UnsupportedMediaTypeProblem
]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    order_id: int,
    *,
    client: AuthenticatedClient,
    body: CancelRequest | Unset = UNSET,
    idempotency_key: str | Unset = UNSET,
) -> Response[
    IdempotencyKeyReusedProblem
    | InternalErrorProblem
    | MethodNotAllowedProblem
    | NotFoundProblem
    | Problem
    | LockTimeoutProblem
    | ServiceUnavailableProblem
    | MalformedJsonProblem
    | ValidationErrorProblem
    | NotAcceptableProblem
    | NotAuthenticatedProblem
    | TokenNotValidProblem
    | NotFoundProblem
    | OrderNotFoundProblem
    | Order
    | OrderNotCancellableProblem
    | RequestInProgressProblem
    | PayloadTooLargeProblem
    | PermissionDeniedProblem
    | ThrottledProblem
    | UnsupportedMediaTypeProblem
]:
    """Cancel an order

     Cancels the whole order: returns its units, its payment, and its coupon unless that has expired.

    Args:
        order_id (int):
        idempotency_key (str | Unset):
        body (CancelRequest | Unset): Required only from staff who cancel another customer's
            order. Customers send no body, or an empty object.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[IdempotencyKeyReusedProblem | InternalErrorProblem | MethodNotAllowedProblem | NotFoundProblem | Problem | LockTimeoutProblem | ServiceUnavailableProblem | MalformedJsonProblem | ValidationErrorProblem | NotAcceptableProblem | NotAuthenticatedProblem | TokenNotValidProblem | NotFoundProblem | OrderNotFoundProblem | Order | OrderNotCancellableProblem | RequestInProgressProblem | PayloadTooLargeProblem | PermissionDeniedProblem | ThrottledProblem | UnsupportedMediaTypeProblem]
    """

    kwargs = _get_kwargs(
        order_id=order_id,
        body=body,
        idempotency_key=idempotency_key,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    order_id: int,
    *,
    client: AuthenticatedClient,
    body: CancelRequest | Unset = UNSET,
    idempotency_key: str | Unset = UNSET,
) -> (
    IdempotencyKeyReusedProblem
    | InternalErrorProblem
    | MethodNotAllowedProblem
    | NotFoundProblem
    | Problem
    | LockTimeoutProblem
    | ServiceUnavailableProblem
    | MalformedJsonProblem
    | ValidationErrorProblem
    | NotAcceptableProblem
    | NotAuthenticatedProblem
    | TokenNotValidProblem
    | NotFoundProblem
    | OrderNotFoundProblem
    | Order
    | OrderNotCancellableProblem
    | RequestInProgressProblem
    | PayloadTooLargeProblem
    | PermissionDeniedProblem
    | ThrottledProblem
    | UnsupportedMediaTypeProblem
    | None
):
    """Cancel an order

     Cancels the whole order: returns its units, its payment, and its coupon unless that has expired.

    Args:
        order_id (int):
        idempotency_key (str | Unset):
        body (CancelRequest | Unset): Required only from staff who cancel another customer's
            order. Customers send no body, or an empty object.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        IdempotencyKeyReusedProblem | InternalErrorProblem | MethodNotAllowedProblem | NotFoundProblem | Problem | LockTimeoutProblem | ServiceUnavailableProblem | MalformedJsonProblem | ValidationErrorProblem | NotAcceptableProblem | NotAuthenticatedProblem | TokenNotValidProblem | NotFoundProblem | OrderNotFoundProblem | Order | OrderNotCancellableProblem | RequestInProgressProblem | PayloadTooLargeProblem | PermissionDeniedProblem | ThrottledProblem | UnsupportedMediaTypeProblem
    """

    return sync_detailed(
        order_id=order_id,
        client=client,
        body=body,
        idempotency_key=idempotency_key,
    ).parsed


async def asyncio_detailed(
    order_id: int,
    *,
    client: AuthenticatedClient,
    body: CancelRequest | Unset = UNSET,
    idempotency_key: str | Unset = UNSET,
) -> Response[
    IdempotencyKeyReusedProblem
    | InternalErrorProblem
    | MethodNotAllowedProblem
    | NotFoundProblem
    | Problem
    | LockTimeoutProblem
    | ServiceUnavailableProblem
    | MalformedJsonProblem
    | ValidationErrorProblem
    | NotAcceptableProblem
    | NotAuthenticatedProblem
    | TokenNotValidProblem
    | NotFoundProblem
    | OrderNotFoundProblem
    | Order
    | OrderNotCancellableProblem
    | RequestInProgressProblem
    | PayloadTooLargeProblem
    | PermissionDeniedProblem
    | ThrottledProblem
    | UnsupportedMediaTypeProblem
]:
    """Cancel an order

     Cancels the whole order: returns its units, its payment, and its coupon unless that has expired.

    Args:
        order_id (int):
        idempotency_key (str | Unset):
        body (CancelRequest | Unset): Required only from staff who cancel another customer's
            order. Customers send no body, or an empty object.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[IdempotencyKeyReusedProblem | InternalErrorProblem | MethodNotAllowedProblem | NotFoundProblem | Problem | LockTimeoutProblem | ServiceUnavailableProblem | MalformedJsonProblem | ValidationErrorProblem | NotAcceptableProblem | NotAuthenticatedProblem | TokenNotValidProblem | NotFoundProblem | OrderNotFoundProblem | Order | OrderNotCancellableProblem | RequestInProgressProblem | PayloadTooLargeProblem | PermissionDeniedProblem | ThrottledProblem | UnsupportedMediaTypeProblem]
    """

    kwargs = _get_kwargs(
        order_id=order_id,
        body=body,
        idempotency_key=idempotency_key,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    order_id: int,
    *,
    client: AuthenticatedClient,
    body: CancelRequest | Unset = UNSET,
    idempotency_key: str | Unset = UNSET,
) -> (
    IdempotencyKeyReusedProblem
    | InternalErrorProblem
    | MethodNotAllowedProblem
    | NotFoundProblem
    | Problem
    | LockTimeoutProblem
    | ServiceUnavailableProblem
    | MalformedJsonProblem
    | ValidationErrorProblem
    | NotAcceptableProblem
    | NotAuthenticatedProblem
    | TokenNotValidProblem
    | NotFoundProblem
    | OrderNotFoundProblem
    | Order
    | OrderNotCancellableProblem
    | RequestInProgressProblem
    | PayloadTooLargeProblem
    | PermissionDeniedProblem
    | ThrottledProblem
    | UnsupportedMediaTypeProblem
    | None
):
    """Cancel an order

     Cancels the whole order: returns its units, its payment, and its coupon unless that has expired.

    Args:
        order_id (int):
        idempotency_key (str | Unset):
        body (CancelRequest | Unset): Required only from staff who cancel another customer's
            order. Customers send no body, or an empty object.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        IdempotencyKeyReusedProblem | InternalErrorProblem | MethodNotAllowedProblem | NotFoundProblem | Problem | LockTimeoutProblem | ServiceUnavailableProblem | MalformedJsonProblem | ValidationErrorProblem | NotAcceptableProblem | NotAuthenticatedProblem | TokenNotValidProblem | NotFoundProblem | OrderNotFoundProblem | Order | OrderNotCancellableProblem | RequestInProgressProblem | PayloadTooLargeProblem | PermissionDeniedProblem | ThrottledProblem | UnsupportedMediaTypeProblem
    """

    return (
        await asyncio_detailed(
            order_id=order_id,
            client=client,
            body=body,
            idempotency_key=idempotency_key,
        )
    ).parsed
