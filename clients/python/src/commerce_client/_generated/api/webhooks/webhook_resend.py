from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import httpx

from ...client import AuthenticatedClient, Client
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
from ...models.send_again import SendAgain
from ...models.sent_again import SentAgain
from ...models.service_unavailable_problem import ServiceUnavailableProblem
from ...models.throttled_problem import ThrottledProblem
from ...models.token_not_valid_problem import TokenNotValidProblem
from ...models.unsupported_media_type_problem import UnsupportedMediaTypeProblem
from ...models.validation_error_problem import ValidationErrorProblem
from ...models.webhook_not_found_problem import WebhookNotFoundProblem
from ...types import UNSET, Response, Unset


def _get_kwargs(
    webhook_id: int,
    *,
    body: SendAgain,
    idempotency_key: str | Unset = UNSET,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}
    if not isinstance(idempotency_key, Unset):
        headers["Idempotency-Key"] = idempotency_key

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/api/webhooks/{webhook_id}/resend".format(
            webhook_id=quote(str(webhook_id), safe=""),
        ),
    }

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
    | WebhookNotFoundProblem
    | PayloadTooLargeProblem
    | PermissionDeniedProblem
    | RequestInProgressProblem
    | SentAgain
    | ThrottledProblem
    | UnsupportedMediaTypeProblem
):
    if response.status_code == 200:
        response_200 = SentAgain.from_dict(response.json())

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

        def _parse_response_404(data: object) -> NotFoundProblem | WebhookNotFoundProblem:
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                response_404_type_0 = NotFoundProblem.from_dict(data)

                return response_404_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            if not isinstance(data, dict):
                raise TypeError()
            response_404_type_1 = WebhookNotFoundProblem.from_dict(data)

            return response_404_type_1

        response_404 = _parse_response_404(response.json())

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
    | WebhookNotFoundProblem
    | PayloadTooLargeProblem
    | PermissionDeniedProblem
    | RequestInProgressProblem
    | SentAgain
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
    webhook_id: int,
    *,
    client: AuthenticatedClient,
    body: SendAgain,
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
    | WebhookNotFoundProblem
    | PayloadTooLargeProblem
    | PermissionDeniedProblem
    | RequestInProgressProblem
    | SentAgain
    | ThrottledProblem
    | UnsupportedMediaTypeProblem
]:
    """Send events to a webhook again

     Parked and delivered events, until their retention ends. For staff with the permission to send
    messages again.

    Args:
        webhook_id (int):
        idempotency_key (str | Unset):
        body (SendAgain): The events to send again.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[IdempotencyKeyReusedProblem | InternalErrorProblem | MethodNotAllowedProblem | NotFoundProblem | Problem | LockTimeoutProblem | ServiceUnavailableProblem | MalformedJsonProblem | ValidationErrorProblem | NotAcceptableProblem | NotAuthenticatedProblem | TokenNotValidProblem | NotFoundProblem | WebhookNotFoundProblem | PayloadTooLargeProblem | PermissionDeniedProblem | RequestInProgressProblem | SentAgain | ThrottledProblem | UnsupportedMediaTypeProblem]
    """

    kwargs = _get_kwargs(
        webhook_id=webhook_id,
        body=body,
        idempotency_key=idempotency_key,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    webhook_id: int,
    *,
    client: AuthenticatedClient,
    body: SendAgain,
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
    | WebhookNotFoundProblem
    | PayloadTooLargeProblem
    | PermissionDeniedProblem
    | RequestInProgressProblem
    | SentAgain
    | ThrottledProblem
    | UnsupportedMediaTypeProblem
    | None
):
    """Send events to a webhook again

     Parked and delivered events, until their retention ends. For staff with the permission to send
    messages again.

    Args:
        webhook_id (int):
        idempotency_key (str | Unset):
        body (SendAgain): The events to send again.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        IdempotencyKeyReusedProblem | InternalErrorProblem | MethodNotAllowedProblem | NotFoundProblem | Problem | LockTimeoutProblem | ServiceUnavailableProblem | MalformedJsonProblem | ValidationErrorProblem | NotAcceptableProblem | NotAuthenticatedProblem | TokenNotValidProblem | NotFoundProblem | WebhookNotFoundProblem | PayloadTooLargeProblem | PermissionDeniedProblem | RequestInProgressProblem | SentAgain | ThrottledProblem | UnsupportedMediaTypeProblem
    """

    return sync_detailed(
        webhook_id=webhook_id,
        client=client,
        body=body,
        idempotency_key=idempotency_key,
    ).parsed


async def asyncio_detailed(
    webhook_id: int,
    *,
    client: AuthenticatedClient,
    body: SendAgain,
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
    | WebhookNotFoundProblem
    | PayloadTooLargeProblem
    | PermissionDeniedProblem
    | RequestInProgressProblem
    | SentAgain
    | ThrottledProblem
    | UnsupportedMediaTypeProblem
]:
    """Send events to a webhook again

     Parked and delivered events, until their retention ends. For staff with the permission to send
    messages again.

    Args:
        webhook_id (int):
        idempotency_key (str | Unset):
        body (SendAgain): The events to send again.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[IdempotencyKeyReusedProblem | InternalErrorProblem | MethodNotAllowedProblem | NotFoundProblem | Problem | LockTimeoutProblem | ServiceUnavailableProblem | MalformedJsonProblem | ValidationErrorProblem | NotAcceptableProblem | NotAuthenticatedProblem | TokenNotValidProblem | NotFoundProblem | WebhookNotFoundProblem | PayloadTooLargeProblem | PermissionDeniedProblem | RequestInProgressProblem | SentAgain | ThrottledProblem | UnsupportedMediaTypeProblem]
    """

    kwargs = _get_kwargs(
        webhook_id=webhook_id,
        body=body,
        idempotency_key=idempotency_key,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    webhook_id: int,
    *,
    client: AuthenticatedClient,
    body: SendAgain,
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
    | WebhookNotFoundProblem
    | PayloadTooLargeProblem
    | PermissionDeniedProblem
    | RequestInProgressProblem
    | SentAgain
    | ThrottledProblem
    | UnsupportedMediaTypeProblem
    | None
):
    """Send events to a webhook again

     Parked and delivered events, until their retention ends. For staff with the permission to send
    messages again.

    Args:
        webhook_id (int):
        idempotency_key (str | Unset):
        body (SendAgain): The events to send again.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        IdempotencyKeyReusedProblem | InternalErrorProblem | MethodNotAllowedProblem | NotFoundProblem | Problem | LockTimeoutProblem | ServiceUnavailableProblem | MalformedJsonProblem | ValidationErrorProblem | NotAcceptableProblem | NotAuthenticatedProblem | TokenNotValidProblem | NotFoundProblem | WebhookNotFoundProblem | PayloadTooLargeProblem | PermissionDeniedProblem | RequestInProgressProblem | SentAgain | ThrottledProblem | UnsupportedMediaTypeProblem
    """

    return (
        await asyncio_detailed(
            webhook_id=webhook_id,
            client=client,
            body=body,
            idempotency_key=idempotency_key,
        )
    ).parsed
