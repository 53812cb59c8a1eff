"""The orders' endpoints: a body in, one use case, an answer out."""

from django.http import HttpResponse
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from balances.errors import InsufficientBalance, UserNotFound
from commerce.audit.record import Staff
from commerce.http.answers import answer_once
from commerce.http.authentication import account_of, caller_of
from commerce.http.paging import HistoryPages
from commerce.http.schema import documented, paged
from commerce.http.validation import body_of, query_of
from commerce.http.viewsets import ApiViewSet
from coupons.errors import CouponNotUsable
from orders import selectors, serializers, services
from orders.errors import OrderNotCancellable, OrderNotFound
from orders.events import order_as_json
from products.errors import OutOfStock, ProductNotFound


class OrderViewSet(ApiViewSet):
    """Placing, seeing and cancelling an order."""

    lookup_url_kwarg = "orderId"
    lookup_value_regex = r"[0-9]{1,18}"

    @documented(
        "Place an order",
        operation_id="orderPlace",
        request=serializers.OrderRequestSerializer,
        response=serializers.OrderSerializer,
        refusals=[ProductNotFound, UserNotFound, OutOfStock, CouponNotUsable, InsufficientBalance],
        writes=True,
    )
    def create(self, request: Request) -> HttpResponse:
        body = body_of(request, serializers.OrderRequestSerializer)
        user_id = caller_of(request).id
        quantities = {item["productId"]: item["quantity"] for item in body["items"]}
        return answer_once(
            request,
            lambda once: services.place_order(
                user_id=user_id, quantities=quantities, user_coupon_id=body["userCouponId"], once=once
            ),
            order_as_json,
            body=request.data,
        )

    @documented(
        "Order",
        operation_id="order",
        path_id="orderId",
        response=serializers.OrderSerializer,
        refusals=[OrderNotFound],
    )
    def retrieve(self, request: Request, orderId: str) -> Response:  # noqa: N803  # the contract's name
        return Response(order_as_json(selectors.order_for(int(orderId), owner_id=_owner(request))))

    @documented(
        "Cancel an order",
        operation_id="orderCancel",
        path_id="orderId",
        response=serializers.OrderSerializer,
        refusals=[OrderNotFound, OrderNotCancellable],
        writes=True,
    )
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, orderId: str) -> HttpResponse:  # noqa: N803  # the contract's name
        return answer_once(
            request,
            lambda once: services.cancel_order(
                order_id=int(orderId), owner_id=_owner(request), once=once, by=_staff(request)
            ),
            order_as_json,
        )


class UserOrderViewSet(ApiViewSet):
    """A customer's orders."""

    @documented(
        "Orders",
        operation_id="userOrders",
        response=paged(serializers.OrderSerializer),
        parameters=[serializers.OrdersQuerySerializer, *HistoryPages.parameters],
        acts_on_account=True,
    )
    def list(self, request: Request) -> Response:
        query = query_of(request, serializers.OrdersQuerySerializer)
        orders = selectors.orders_of(account_of(request, query.get("userId")), status=query.get("status"))
        return HistoryPages.respond(request, orders, serializers.OrderSerializer)


def _owner(request: Request) -> int | None:
    """Whose orders the caller may touch: their own; None, any, for staff."""
    caller = caller_of(request)
    return None if caller.is_staff else caller.id


def _staff(request: Request) -> Staff | None:
    """Who acts, where it is a member of staff: that is written down."""
    caller = caller_of(request)
    return Staff(caller.id) if caller.is_staff else None
