from http import HTTPStatus
from typing import Any, cast

import httpx

from ...client import AuthenticatedClient, Client
from ...models.internal_error_problem import InternalErrorProblem
from ...models.lock_timeout_problem import LockTimeoutProblem
from ...models.method_not_allowed_problem import MethodNotAllowedProblem
from ...models.not_acceptable_problem import NotAcceptableProblem
from ...models.not_found_problem import NotFoundProblem
from ...models.popular_products import PopularProducts
from ...models.precondition_failed_problem import PreconditionFailedProblem
from ...models.problem import Problem
from ...models.service_unavailable_problem import ServiceUnavailableProblem
from ...models.validation_error_problem import ValidationErrorProblem
from ...types import Response


def _get_kwargs() -> dict[str, Any]:

    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": "/api/products/popular",
    }

    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> (
    Any
    | InternalErrorProblem
    | MethodNotAllowedProblem
    | NotFoundProblem
    | Problem
    | LockTimeoutProblem
    | ServiceUnavailableProblem
    | NotAcceptableProblem
    | PopularProducts
    | PreconditionFailedProblem
    | ValidationErrorProblem
):
    if response.status_code == 200:
        response_200 = PopularProducts.from_dict(response.json())

        return response_200

    if response.status_code == 304:
        response_304 = cast(Any, None)
        return response_304

    if response.status_code == 400:
        response_400 = ValidationErrorProblem.from_dict(response.json())

        return response_400

    if response.status_code == 406:
        response_406 = NotAcceptableProblem.from_dict(response.json())

        return response_406

    if response.status_code == 412:
        response_412 = PreconditionFailedProblem.from_dict(response.json())

        return response_412

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
    Any
    | InternalErrorProblem
    | MethodNotAllowedProblem
    | NotFoundProblem
    | Problem
    | LockTimeoutProblem
    | ServiceUnavailableProblem
    | NotAcceptableProblem
    | PopularProducts
    | PreconditionFailedProblem
    | ValidationErrorProblem
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
) -> Response[
    Any
    | InternalErrorProblem
    | MethodNotAllowedProblem
    | NotFoundProblem
    | Problem
    | LockTimeoutProblem
    | ServiceUnavailableProblem
    | NotAcceptableProblem
    | PopularProducts
    | PreconditionFailedProblem
    | ValidationErrorProblem
]:
    """Popular products

     The five products of which most units were sold since three days ago. The list may be half an hour
    old.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Any | InternalErrorProblem | MethodNotAllowedProblem | NotFoundProblem | Problem | LockTimeoutProblem | ServiceUnavailableProblem | NotAcceptableProblem | PopularProducts | PreconditionFailedProblem | ValidationErrorProblem]
    """

    kwargs = _get_kwargs()

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    *,
    client: AuthenticatedClient | Client,
) -> (
    Any
    | InternalErrorProblem
    | MethodNotAllowedProblem
    | NotFoundProblem
    | Problem
    | LockTimeoutProblem
    | ServiceUnavailableProblem
    | NotAcceptableProblem
    | PopularProducts
    | PreconditionFailedProblem
    | ValidationErrorProblem
    | None
):
    """Popular products

     The five products of which most units were sold since three days ago. The list may be half an hour
    old.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Any | InternalErrorProblem | MethodNotAllowedProblem | NotFoundProblem | Problem | LockTimeoutProblem | ServiceUnavailableProblem | NotAcceptableProblem | PopularProducts | PreconditionFailedProblem | ValidationErrorProblem
    """

    return sync_detailed(
        client=client,
    ).parsed


async def asyncio_detailed(
    *,
    client: AuthenticatedClient | Client,
) -> Response[
    Any
    | InternalErrorProblem
    | MethodNotAllowedProblem
    | NotFoundProblem
    | Problem
    | LockTimeoutProblem
    | ServiceUnavailableProblem
    | NotAcceptableProblem
    | PopularProducts
    | PreconditionFailedProblem
    | ValidationErrorProblem
]:
    """Popular products

     The five products of which most units were sold since three days ago. The list may be half an hour
    old.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Any | InternalErrorProblem | MethodNotAllowedProblem | NotFoundProblem | Problem | LockTimeoutProblem | ServiceUnavailableProblem | NotAcceptableProblem | PopularProducts | PreconditionFailedProblem | ValidationErrorProblem]
    """

    kwargs = _get_kwargs()

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    *,
    client: AuthenticatedClient | Client,
) -> (
    Any
    | InternalErrorProblem
    | MethodNotAllowedProblem
    | NotFoundProblem
    | Problem
    | LockTimeoutProblem
    | ServiceUnavailableProblem
    | NotAcceptableProblem
    | PopularProducts
    | PreconditionFailedProblem
    | ValidationErrorProblem
    | None
):
    """Popular products

     The five products of which most units were sold since three days ago. The list may be half an hour
    old.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Any | InternalErrorProblem | MethodNotAllowedProblem | NotFoundProblem | Problem | LockTimeoutProblem | ServiceUnavailableProblem | NotAcceptableProblem | PopularProducts | PreconditionFailedProblem | ValidationErrorProblem
    """

    return (
        await asyncio_detailed(
            client=client,
        )
    ).parsed
