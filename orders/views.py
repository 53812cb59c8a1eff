"""Endpoints of orders and refunds."""

from collections.abc import Mapping
from typing import Any

from django.http import HttpResponse
from django.utils.translation import gettext as _
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from balances.errors import InsufficientBalance, UserNotFound
from commerce.api.answers import answer_once
from commerce.api.authentication import account_of, caller_of, has_right, require_right
from commerce.api.paging import HistoryPages
from commerce.api.schema import documented, paged
from commerce.api.validation import body_if_any, body_of, query_of, reason_of, require_known_parameters
from commerce.api.viewsets import ApiViewSet
from commerce.audit.record import Staff
from coupons.errors import CouponNotUsable
from orders import selectors, serializers, services
from orders.errors import (
    OrderNotCancellable,
    OrderNotFound,
    OrderNotRefundable,
    PurchaseLimitExceeded,
    RefundExceedsOrder,
)
from orders.events import order_as_json, refund_as_json
from products.errors import OutOfStock, ProductNotFound
from reservations.errors import ReservationExpired, ReservationNotFound


class OrderViewSet(ApiViewSet):
    """Placing, seeing, cancelling and refunding an order."""

    lookup_url_kwarg = "orderId"
    lookup_value_regex = r"[0-9]{1,18}"

    @documented(
        "Place an order",
        "Places and pays an order in one step: takes the units from the stock or from a reservation, uses the coupon "
        "if given, and debits the balance. If anything is refused, nothing is changed.",
        operation_id="orderPlace",
        request=serializers.OrderRequestSerializer,
        response=serializers.OrderSerializer,
        refusals=[
            *(ProductNotFound, UserNotFound, ReservationNotFound, OutOfStock, ReservationExpired),
            *(PurchaseLimitExceeded, CouponNotUsable, InsufficientBalance),
        ],
        writes=True,
    )
    def create(self, request: Request) -> HttpResponse:
        body = body_of(request, serializers.OrderRequestSerializer)
        user_id, reservation_id, user_coupon_id = caller_of(request).id, body["reservationId"], body["userCouponId"]
        if reservation_id is not None:
            _refuse_items_of(body)
            return answer_once(
                request,
                lambda idempotency: services.pay_reservation(
                    user_id=user_id,
                    reservation_id=reservation_id,
                    user_coupon_id=user_coupon_id,
                    idempotency=idempotency,
                ),
                order_as_json,
                body=request.data,
            )
        if "items" not in body:
            raise ValidationError({"items": _("This field is required.")}, code="required")
        quantities = {item["productId"]: item["quantity"] for item in body["items"]}
        return answer_once(
            request,
            lambda idempotency: services.place_order(
                user_id=user_id, quantities=quantities, user_coupon_id=user_coupon_id, idempotency=idempotency
            ),
            order_as_json,
            body=request.data,
        )

    @documented(
        "Order",
        "One order, with its items at the time of the order.",
        operation_id="order",
        path_id="orderId",
        response=serializers.OrderSerializer,
        refusals=[OrderNotFound],
    )
    def retrieve(self, request: Request, orderId: str) -> Response:  # noqa: N803  # the contract's name
        caller = caller_of(request)
        owner_id = None if has_right(caller, "orders.view_order") else caller.id
        return Response(order_as_json(selectors.order_for(int(orderId), owner_id=owner_id)))

    @documented(
        "Cancel an order",
        "Cancels the whole order: returns its units, its payment, and its coupon unless that has expired.",
        operation_id="orderCancel",
        path_id="orderId",
        request=serializers.CancelRequestSerializer,
        response=serializers.OrderSerializer,
        refusals=[OrderNotFound, OrderNotCancellable],
        acts_on_account=True,
        writes=True,
    )
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, orderId: str) -> HttpResponse:  # noqa: N803  # the contract's name
        body = body_if_any(request, serializers.CancelRequestSerializer)
        owner_id, by = _canceller(request, int(orderId), body)
        return answer_once(
            request,
            lambda idempotency: services.cancel_order(
                order_id=int(orderId), owner_id=owner_id, idempotency=idempotency, by=by
            ),
            order_as_json,
            body=body or None,
        )

    @documented(
        "Refunds of an order",
        "The refunds of the order, newest first.",
        operation_id="orderRefunds",
        path_id="orderId",
        response=paged(serializers.RefundSerializer),
        parameters=[*HistoryPages.parameters],
        refusals=[OrderNotFound],
    )
    @action(detail=True, methods=["get"])
    def refunds(self, request: Request, orderId: str) -> Response:  # noqa: N803  # the contract's name
        require_known_parameters(request, HistoryPages.names)
        caller = caller_of(request)
        owner_id = None if has_right(caller, "orders.view_order") else caller.id
        refunds = selectors.refunds_of(int(orderId), owner_id=owner_id)
        return HistoryPages.respond(request, refunds, serializers.RefundSerializer)

    @documented(
        "Refund a part of an order",
        "For staff with the permission to cancel orders: refunds units of its items at the price that was paid for "
        "them. After the last unit the order is `REFUNDED`, and its coupon is returned to the customer.",
        operation_id="orderRefund",
        path_id="orderId",
        request=serializers.RefundRequestSerializer,
        response=serializers.MadeRefundSerializer,
        refusals=[OrderNotFound, RefundExceedsOrder, OrderNotRefundable],
        acts_on_account=True,
        writes=True,
    )
    @refunds.mapping.post
    def refund(self, request: Request, orderId: str) -> HttpResponse:  # noqa: N803  # the contract's name
        body = body_of(request, serializers.RefundRequestSerializer)
        caller = caller_of(request)
        require_right(caller, "orders.cancel_order")
        quantities = {item["productId"]: item["quantity"] for item in body["items"]}
        by = Staff(caller.id, body["reason"])
        return answer_once(
            request,
            lambda idempotency: services.refund_order(
                order_id=int(orderId), quantities=quantities, restock=body["restock"], by=by, idempotency=idempotency
            ),
            lambda done: {**refund_as_json(done.refund), "order": order_as_json(done.order)},
            body=request.data,
        )


class UserOrderViewSet(ApiViewSet):
    """A customer's orders."""

    @documented(
        "Orders",
        "The orders of an account with their items, newest first.",
        operation_id="userOrders",
        response=paged(serializers.OrderSerializer),
        parameters=[serializers.OrdersQuerySerializer, *HistoryPages.parameters],
        acts_on_account=True,
    )
    def list(self, request: Request) -> Response:
        query = query_of(request, serializers.OrdersQuerySerializer, paging=HistoryPages.names)
        orders = selectors.orders_of(
            account_of(request, query.get("userId"), right="orders.view_order"), status=query.get("status")
        )
        return HistoryPages.respond(request, orders, serializers.OrderSerializer)


def _refuse_items_of(body: Mapping[str, Any]) -> None:
    """Raises ValidationError if the request has items beside a reservation."""
    if "items" in body:
        raise ValidationError({"items": _("A reservation has its items already.")}, code="not_with_reservation")


def _canceller(request: Request, order_id: int, body: Mapping[str, Any]) -> tuple[int | None, Staff | None]:
    """The required owner of the order (None: any), and the member of staff for the audit record, if any.

    Raises PermissionDenied, ValidationError.
    """
    caller = caller_of(request)
    if not caller.is_staff or ("reason" not in body and selectors.is_owner(order_id, caller.id)):
        reason_of(body, for_another=False)
        return caller.id, None
    require_right(caller, "orders.cancel_order")
    return None, Staff(caller.id, reason_of(body, for_another=True))
