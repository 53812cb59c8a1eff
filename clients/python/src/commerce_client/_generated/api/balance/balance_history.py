import datetime
from http import HTTPStatus
from typing import Any

import httpx

from ...client import AuthenticatedClient, Client
from ...models.balance_history_type import BalanceHistoryType
from ...models.internal_error_problem import InternalErrorProblem
from ...models.ledger_entry_page import LedgerEntryPage
from ...models.lock_timeout_problem import LockTimeoutProblem
from ...models.method_not_allowed_problem import MethodNotAllowedProblem
from ...models.not_acceptable_problem import NotAcceptableProblem
from ...models.not_authenticated_problem import NotAuthenticatedProblem
from ...models.not_found_problem import NotFoundProblem
from ...models.permission_denied_problem import PermissionDeniedProblem
from ...models.problem import Problem
from ...models.service_unavailable_problem import ServiceUnavailableProblem
from ...models.token_not_valid_problem import TokenNotValidProblem
from ...models.validation_error_problem import ValidationErrorProblem
from ...types import UNSET, Response, Unset


def _get_kwargs(
    *,
    cursor: str | Unset = UNSET,
    from_: datetime.date | Unset = UNSET,
    page_size: int | Unset = 20,
    to: datetime.date | Unset = UNSET,
    type_: BalanceHistoryType | Unset = UNSET,
    user_id: int | Unset = UNSET,
) -> dict[str, Any]:

    params: dict[str, Any] = {}

    params["cursor"] = cursor

    json_from_: str | Unset = UNSET
    if not isinstance(from_, Unset):
        json_from_ = from_.isoformat()
    params["from"] = json_from_

    params["pageSize"] = page_size

    json_to: str | Unset = UNSET
    if not isinstance(to, Unset):
        json_to = to.isoformat()
    params["to"] = json_to

    json_type_: str | Unset = UNSET
    if not isinstance(type_, Unset):
        json_type_ = type_.value

    params["type"] = json_type_

    params["userId"] = user_id

    params = {k: v for k, v in params.items() if v is not UNSET and v is not None}

    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": "/api/users/balance/history",
        "params": params,
    }

    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> (
    InternalErrorProblem
    | MethodNotAllowedProblem
    | NotFoundProblem
    | Problem
    | LedgerEntryPage
    | LockTimeoutProblem
    | ServiceUnavailableProblem
    | NotAcceptableProblem
    | NotAuthenticatedProblem
    | TokenNotValidProblem
    | PermissionDeniedProblem
    | ValidationErrorProblem
):
    if response.status_code == 200:
        response_200 = LedgerEntryPage.from_dict(response.json())

        return response_200

    if response.status_code == 400:
        response_400 = ValidationErrorProblem.from_dict(response.json())

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

    if response.status_code == 406:
        response_406 = NotAcceptableProblem.from_dict(response.json())

        return response_406

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
    | LedgerEntryPage
    | LockTimeoutProblem
    | ServiceUnavailableProblem
    | NotAcceptableProblem
    | NotAuthenticatedProblem
    | TokenNotValidProblem
    | PermissionDeniedProblem
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
    client: AuthenticatedClient,
    cursor: str | Unset = UNSET,
    from_: datetime.date | Unset = UNSET,
    page_size: int | Unset = 20,
    to: datetime.date | Unset = UNSET,
    type_: BalanceHistoryType | Unset = UNSET,
    user_id: int | Unset = UNSET,
) -> Response[
    InternalErrorProblem
    | MethodNotAllowedProblem
    | NotFoundProblem
    | Problem
    | LedgerEntryPage
    | LockTimeoutProblem
    | ServiceUnavailableProblem
    | NotAcceptableProblem
    | NotAuthenticatedProblem
    | TokenNotValidProblem
    | PermissionDeniedProblem
    | ValidationErrorProblem
]:
    """Balance history

     Every change of the balance, newest first.

    Args:
        cursor (str | Unset):
        from_ (datetime.date | Unset):
        page_size (int | Unset):  Default: 20.
        to (datetime.date | Unset):
        type_ (BalanceHistoryType | Unset):
        user_id (int | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[InternalErrorProblem | MethodNotAllowedProblem | NotFoundProblem | Problem | LedgerEntryPage | LockTimeoutProblem | ServiceUnavailableProblem | NotAcceptableProblem | NotAuthenticatedProblem | TokenNotValidProblem | PermissionDeniedProblem | ValidationErrorProblem]
    """

    kwargs = _get_kwargs(
        cursor=cursor,
        from_=from_,
        page_size=page_size,
        to=to,
        type_=type_,
        user_id=user_id,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    *,
    client: AuthenticatedClient,
    cursor: str | Unset = UNSET,
    from_: datetime.date | Unset = UNSET,
    page_size: int | Unset = 20,
    to: datetime.date | Unset = UNSET,
    type_: BalanceHistoryType | Unset = UNSET,
    user_id: int | Unset = UNSET,
) -> (
    InternalErrorProblem
    | MethodNotAllowedProblem
    | NotFoundProblem
    | Problem
    | LedgerEntryPage
    | LockTimeoutProblem
    | ServiceUnavailableProblem
    | NotAcceptableProblem
    | NotAuthenticatedProblem
    | TokenNotValidProblem
    | PermissionDeniedProblem
    | ValidationErrorProblem
    | None
):
    """Balance history

     Every change of the balance, newest first.

    Args:
        cursor (str | Unset):
        from_ (datetime.date | Unset):
        page_size (int | Unset):  Default: 20.
        to (datetime.date | Unset):
        type_ (BalanceHistoryType | Unset):
        user_id (int | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        InternalErrorProblem | MethodNotAllowedProblem | NotFoundProblem | Problem | LedgerEntryPage | LockTimeoutProblem | ServiceUnavailableProblem | NotAcceptableProblem | NotAuthenticatedProblem | TokenNotValidProblem | PermissionDeniedProblem | ValidationErrorProblem
    """

    return sync_detailed(
        client=client,
        cursor=cursor,
        from_=from_,
        page_size=page_size,
        to=to,
        type_=type_,
        user_id=user_id,
    ).parsed


async def asyncio_detailed(
    *,
    client: AuthenticatedClient,
    cursor: str | Unset = UNSET,
    from_: datetime.date | Unset = UNSET,
    page_size: int | Unset = 20,
    to: datetime.date | Unset = UNSET,
    type_: BalanceHistoryType | Unset = UNSET,
    user_id: int | Unset = UNSET,
) -> Response[
    InternalErrorProblem
    | MethodNotAllowedProblem
    | NotFoundProblem
    | Problem
    | LedgerEntryPage
    | LockTimeoutProblem
    | ServiceUnavailableProblem
    | NotAcceptableProblem
    | NotAuthenticatedProblem
    | TokenNotValidProblem
    | PermissionDeniedProblem
    | ValidationErrorProblem
]:
    """Balance history

     Every change of the balance, newest first.

    Args:
        cursor (str | Unset):
        from_ (datetime.date | Unset):
        page_size (int | Unset):  Default: 20.
        to (datetime.date | Unset):
        type_ (BalanceHistoryType | Unset):
        user_id (int | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[InternalErrorProblem | MethodNotAllowedProblem | NotFoundProblem | Problem | LedgerEntryPage | LockTimeoutProblem | ServiceUnavailableProblem | NotAcceptableProblem | NotAuthenticatedProblem | TokenNotValidProblem | PermissionDeniedProblem | ValidationErrorProblem]
    """

    kwargs = _get_kwargs(
        cursor=cursor,
        from_=from_,
        page_size=page_size,
        to=to,
        type_=type_,
        user_id=user_id,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    *,
    client: AuthenticatedClient,
    cursor: str | Unset = UNSET,
    from_: datetime.date | Unset = UNSET,
    page_size: int | Unset = 20,
    to: datetime.date | Unset = UNSET,
    type_: BalanceHistoryType | Unset = UNSET,
    user_id: int | Unset = UNSET,
) -> (
    InternalErrorProblem
    | MethodNotAllowedProblem
    | NotFoundProblem
    | Problem
    | LedgerEntryPage
    | LockTimeoutProblem
    | ServiceUnavailableProblem
    | NotAcceptableProblem
    | NotAuthenticatedProblem
    | TokenNotValidProblem
    | PermissionDeniedProblem
    | ValidationErrorProblem
    | None
):
    """Balance history

     Every change of the balance, newest first.

    Args:
        cursor (str | Unset):
        from_ (datetime.date | Unset):
        page_size (int | Unset):  Default: 20.
        to (datetime.date | Unset):
        type_ (BalanceHistoryType | Unset):
        user_id (int | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        InternalErrorProblem | MethodNotAllowedProblem | NotFoundProblem | Problem | LedgerEntryPage | LockTimeoutProblem | ServiceUnavailableProblem | NotAcceptableProblem | NotAuthenticatedProblem | TokenNotValidProblem | PermissionDeniedProblem | ValidationErrorProblem
    """

    return (
        await asyncio_detailed(
            client=client,
            cursor=cursor,
            from_=from_,
            page_size=page_size,
            to=to,
            type_=type_,
            user_id=user_id,
        )
    ).parsed
