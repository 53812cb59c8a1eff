from http import HTTPStatus
from typing import Any, cast

import httpx

from ...client import AuthenticatedClient, Client
from ...models.internal_error_problem import InternalErrorProblem
from ...models.lock_timeout_problem import LockTimeoutProblem
from ...models.method_not_allowed_problem import MethodNotAllowedProblem
from ...models.not_acceptable_problem import NotAcceptableProblem
from ...models.not_found_problem import NotFoundProblem
from ...models.precondition_failed_problem import PreconditionFailedProblem
from ...models.problem import Problem
from ...models.product_page import ProductPage
from ...models.products_ordering import ProductsOrdering
from ...models.service_unavailable_problem import ServiceUnavailableProblem
from ...models.validation_error_problem import ValidationErrorProblem
from ...types import UNSET, Response, Unset


def _get_kwargs(
    *,
    in_stock: bool | Unset = False,
    max_price: int | Unset = UNSET,
    min_price: int | Unset = UNSET,
    ordering: ProductsOrdering | Unset = ProductsOrdering.ID,
    page: int | Unset = 1,
    page_size: int | Unset = 20,
    search: str | Unset = "",
) -> dict[str, Any]:

    params: dict[str, Any] = {}

    params["inStock"] = in_stock

    params["maxPrice"] = max_price

    params["minPrice"] = min_price

    json_ordering: str | Unset = UNSET
    if not isinstance(ordering, Unset):
        json_ordering = ordering.value

    params["ordering"] = json_ordering

    params["page"] = page

    params["pageSize"] = page_size

    params["search"] = search

    params = {k: v for k, v in params.items() if v is not UNSET and v is not None}

    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": "/api/products",
        "params": params,
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
    | PreconditionFailedProblem
    | ProductPage
    | ValidationErrorProblem
):
    if response.status_code == 200:
        response_200 = ProductPage.from_dict(response.json())

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
    | PreconditionFailedProblem
    | ProductPage
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
    in_stock: bool | Unset = False,
    max_price: int | Unset = UNSET,
    min_price: int | Unset = UNSET,
    ordering: ProductsOrdering | Unset = ProductsOrdering.ID,
    page: int | Unset = 1,
    page_size: int | Unset = 20,
    search: str | Unset = "",
) -> Response[
    Any
    | InternalErrorProblem
    | MethodNotAllowedProblem
    | NotFoundProblem
    | Problem
    | LockTimeoutProblem
    | ServiceUnavailableProblem
    | NotAcceptableProblem
    | PreconditionFailedProblem
    | ProductPage
    | ValidationErrorProblem
]:
    """Products

     Products for sale. The list may be a minute old, but changes by staff are visible at once.

    Args:
        in_stock (bool | Unset):  Default: False.
        max_price (int | Unset):
        min_price (int | Unset):
        ordering (ProductsOrdering | Unset):  Default: ProductsOrdering.ID.
        page (int | Unset):  Default: 1.
        page_size (int | Unset):  Default: 20.
        search (str | Unset):  Default: ''.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Any | InternalErrorProblem | MethodNotAllowedProblem | NotFoundProblem | Problem | LockTimeoutProblem | ServiceUnavailableProblem | NotAcceptableProblem | PreconditionFailedProblem | ProductPage | ValidationErrorProblem]
    """

    kwargs = _get_kwargs(
        in_stock=in_stock,
        max_price=max_price,
        min_price=min_price,
        ordering=ordering,
        page=page,
        page_size=page_size,
        search=search,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    *,
    client: AuthenticatedClient | Client,
    in_stock: bool | Unset = False,
    max_price: int | Unset = UNSET,
    min_price: int | Unset = UNSET,
    ordering: ProductsOrdering | Unset = ProductsOrdering.ID,
    page: int | Unset = 1,
    page_size: int | Unset = 20,
    search: str | Unset = "",
) -> (
    Any
    | InternalErrorProblem
    | MethodNotAllowedProblem
    | NotFoundProblem
    | Problem
    | LockTimeoutProblem
    | ServiceUnavailableProblem
    | NotAcceptableProblem
    | PreconditionFailedProblem
    | ProductPage
    | ValidationErrorProblem
    | None
):
    """Products

     Products for sale. The list may be a minute old, but changes by staff are visible at once.

    Args:
        in_stock (bool | Unset):  Default: False.
        max_price (int | Unset):
        min_price (int | Unset):
        ordering (ProductsOrdering | Unset):  Default: ProductsOrdering.ID.
        page (int | Unset):  Default: 1.
        page_size (int | Unset):  Default: 20.
        search (str | Unset):  Default: ''.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Any | InternalErrorProblem | MethodNotAllowedProblem | NotFoundProblem | Problem | LockTimeoutProblem | ServiceUnavailableProblem | NotAcceptableProblem | PreconditionFailedProblem | ProductPage | ValidationErrorProblem
    """

    return sync_detailed(
        client=client,
        in_stock=in_stock,
        max_price=max_price,
        min_price=min_price,
        ordering=ordering,
        page=page,
        page_size=page_size,
        search=search,
    ).parsed


async def asyncio_detailed(
    *,
    client: AuthenticatedClient | Client,
    in_stock: bool | Unset = False,
    max_price: int | Unset = UNSET,
    min_price: int | Unset = UNSET,
    ordering: ProductsOrdering | Unset = ProductsOrdering.ID,
    page: int | Unset = 1,
    page_size: int | Unset = 20,
    search: str | Unset = "",
) -> Response[
    Any
    | InternalErrorProblem
    | MethodNotAllowedProblem
    | NotFoundProblem
    | Problem
    | LockTimeoutProblem
    | ServiceUnavailableProblem
    | NotAcceptableProblem
    | PreconditionFailedProblem
    | ProductPage
    | ValidationErrorProblem
]:
    """Products

     Products for sale. The list may be a minute old, but changes by staff are visible at once.

    Args:
        in_stock (bool | Unset):  Default: False.
        max_price (int | Unset):
        min_price (int | Unset):
        ordering (ProductsOrdering | Unset):  Default: ProductsOrdering.ID.
        page (int | Unset):  Default: 1.
        page_size (int | Unset):  Default: 20.
        search (str | Unset):  Default: ''.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Any | InternalErrorProblem | MethodNotAllowedProblem | NotFoundProblem | Problem | LockTimeoutProblem | ServiceUnavailableProblem | NotAcceptableProblem | PreconditionFailedProblem | ProductPage | ValidationErrorProblem]
    """

    kwargs = _get_kwargs(
        in_stock=in_stock,
        max_price=max_price,
        min_price=min_price,
        ordering=ordering,
        page=page,
        page_size=page_size,
        search=search,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    *,
    client: AuthenticatedClient | Client,
    in_stock: bool | Unset = False,
    max_price: int | Unset = UNSET,
    min_price: int | Unset = UNSET,
    ordering: ProductsOrdering | Unset = ProductsOrdering.ID,
    page: int | Unset = 1,
    page_size: int | Unset = 20,
    search: str | Unset = "",
) -> (
    Any
    | InternalErrorProblem
    | MethodNotAllowedProblem
    | NotFoundProblem
    | Problem
    | LockTimeoutProblem
    | ServiceUnavailableProblem
    | NotAcceptableProblem
    | PreconditionFailedProblem
    | ProductPage
    | ValidationErrorProblem
    | None
):
    """Products

     Products for sale. The list may be a minute old, but changes by staff are visible at once.

    Args:
        in_stock (bool | Unset):  Default: False.
        max_price (int | Unset):
        min_price (int | Unset):
        ordering (ProductsOrdering | Unset):  Default: ProductsOrdering.ID.
        page (int | Unset):  Default: 1.
        page_size (int | Unset):  Default: 20.
        search (str | Unset):  Default: ''.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Any | InternalErrorProblem | MethodNotAllowedProblem | NotFoundProblem | Problem | LockTimeoutProblem | ServiceUnavailableProblem | NotAcceptableProblem | PreconditionFailedProblem | ProductPage | ValidationErrorProblem
    """

    return (
        await asyncio_detailed(
            client=client,
            in_stock=in_stock,
            max_price=max_price,
            min_price=min_price,
            ordering=ordering,
            page=page,
            page_size=page_size,
            search=search,
        )
    ).parsed
