"""Endpoints of logins, accounts, balances and the ledger."""

from dataclasses import asdict

from django.core.exceptions import ValidationError
from django.http import HttpResponse
from rest_framework.decorators import action
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from balances import selectors, serializers, services
from balances.errors import AccountClosed, BalanceLimitExceeded, InvalidCredentials, SecondFactorNeeded, UserNotFound
from balances.models import User
from balances.rules import Entry
from commerce.api.answers import answer_once
from commerce.api.authentication import (
    access_token,
    account_of,
    caller_of,
    password_mark_of,
    read_refresh_token,
    require_same_password,
    require_same_second_factor,
    tokens_for,
)
from commerce.api.paging import HistoryPages
from commerce.api.schema import documented, paged
from commerce.api.throttling import Refreshes, login_attempt
from commerce.api.validation import body_of, query_of, reason_of
from commerce.api.viewsets import ApiViewSet
from commerce.audit.record import Staff
from commerce.idempotency.commit import Idempotency
from commerce.server.json_codec import dump, json_response
from commerce.staff_access.login_form import require_code, second_factor_of


def _require_code(user: User, code: str) -> None:
    try:
        require_code(user, code)
    except ValidationError as error:
        raise SecondFactorNeeded from error


def _device_id(user: User) -> int | None:
    """The id of the second factor of a member of staff."""
    device = second_factor_of(user) if user.is_staff else None
    return device.pk if device is not None else None


class TokenViewSet(ApiViewSet):
    """Logging in."""

    permission_classes = [AllowAny]
    authentication_classes = ()

    @documented(
        "Log in",
        "Exchanges a name and a password for an access token and a refresh token.",
        operation_id="token",
        request=serializers.TokenRequestSerializer,
        response=serializers.TokenSerializer,
        refusals=[InvalidCredentials],
        public=True,
        limited=True,
    )
    def create(self, request: Request) -> Response:
        body = body_of(request, serializers.TokenRequestSerializer)
        with login_attempt(request._request, body["username"]):
            user = services.log_in(username=body["username"], password=body["password"])
            if user.is_staff:
                _require_code(user, body.get("otp", ""))
        tokens = tokens_for(
            user_id=user.pk,
            is_staff=user.is_staff,
            password_mark=password_mark_of(user),
            device_id=_device_id(user),
        )
        return Response(asdict(tokens))

    @documented(
        "Get another access token",
        "Exchanges a refresh token for a new access token. The refresh token is still valid.",
        operation_id="tokenRefresh",
        request=serializers.RefreshRequestSerializer,
        response=serializers.AccessSerializer,
        refusals=[AccountClosed],
        public=True,
        limited=True,
    )
    @action(detail=False, methods=["post"], throttle_classes=[Refreshes])
    def refresh(self, request: Request) -> Response:
        body = body_of(request, serializers.RefreshRequestSerializer)
        refresh, user_id = read_refresh_token(body["refresh"])
        user = selectors.owner_of_token(user_id)
        require_same_password(refresh, user)
        require_same_second_factor(refresh, _device_id(user))
        return Response({"access": access_token(refresh, is_staff=user.is_staff)})


class AccountViewSet(ApiViewSet):
    """The caller's own account."""

    @documented(
        "Who is calling",
        "The account of the access token.",
        operation_id="me",
        response=serializers.AccountSerializer,
        refusals=[UserNotFound],
    )
    @action(detail=False, methods=["get"])
    def me(self, request: Request) -> HttpResponse:
        user = selectors.open_account(caller_of(request).id)
        return json_response(dump({"userId": user.pk, "username": user.username, "isStaff": user.is_staff}))


class BalanceViewSet(ApiViewSet):
    """One account's balance."""

    lookup_url_kwarg = "userId"
    lookup_value_regex = r"[0-9]{1,18}"

    @documented(
        "Balance",
        "The balance in won of the caller's account, or with the permission of another one.",
        operation_id="balance",
        path_id="userId",
        response=serializers.BalanceSerializer,
        refusals=[UserNotFound],
        acts_on_account=True,
    )
    def retrieve(self, request: Request, userId: str) -> HttpResponse:  # noqa: N803  # the contract's name
        balance = selectors.balance_of(account_of(request, int(userId), right="balances.view_user"))
        return json_response(dump({"userId": balance.user_id, "balance": balance.balance}))

    @documented(
        "Charge the balance",
        "Adds won to the caller's account. Staff with the permission can adjust another account, with a reason.",
        operation_id="balanceCharge",
        request=serializers.ChargeRequestSerializer,
        response=serializers.ChargeSerializer,
        refusals=[UserNotFound, BalanceLimitExceeded],
        acts_on_account=True,
        writes=True,
    )
    @action(detail=False, methods=["post"])
    def charge(self, request: Request) -> HttpResponse:
        body = body_of(request, serializers.ChargeRequestSerializer)
        user_id, caller = account_of(request, body.get("userId"), right="balances.adjust_balance"), caller_of(request)
        reason = reason_of(body, for_another=user_id != caller.id)

        def move(idempotency: Idempotency) -> Entry:
            if user_id == caller.id:
                return services.charge_balance(user_id=user_id, amount=body["amount"], idempotency=idempotency)
            by = Staff(caller.id, reason)
            return services.adjust_balance(user_id=user_id, amount=body["amount"], by=by, idempotency=idempotency)

        return answer_once(
            request,
            move,
            serializers.charge_as_json,
            body=request.data,
        )


class LedgerViewSet(ApiViewSet):
    """One account's ledger."""

    @documented(
        "Balance history",
        "Every change of the balance, newest first.",
        operation_id="balanceHistory",
        response=paged(serializers.LedgerEntrySerializer),
        parameters=[serializers.HistoryQuerySerializer, *HistoryPages.parameters],
        acts_on_account=True,
    )
    @action(detail=False, methods=["get"])
    def history(self, request: Request) -> Response:
        query = query_of(request, serializers.HistoryQuerySerializer, paging=HistoryPages.names)
        entries = selectors.ledger_of(
            account_of(request, query.get("userId"), right="balances.view_ledgerentry"),
            entry_type=query.get("type"),
            from_date=query.get("from"),
            to_date=query.get("to"),
        )
        return HistoryPages.respond(request, entries, serializers.LedgerEntrySerializer)
