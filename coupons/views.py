"""Endpoints of coupons."""

from django.http import HttpResponse
from django.utils import timezone
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from balances.errors import UserNotFound
from commerce.api.answers import answer_once
from commerce.api.authentication import account_of, caller_of
from commerce.api.paging import HistoryPages
from commerce.api.permissions import ReadableByAll
from commerce.api.schema import documented, paged
from commerce.api.throttling import CouponIssues
from commerce.api.validation import body_if_any, query_of, require_known_parameters
from commerce.api.viewsets import ApiViewSet
from coupons import selectors, serializers, services
from coupons.errors import CouponAlreadyIssued, CouponNotFound, CouponNotOpen, CouponSoldOut


class CouponViewSet(ApiViewSet):
    """Open coupons and their issue."""

    permission_classes = [ReadableByAll]
    lookup_url_kwarg = "couponId"
    lookup_value_regex = r"[0-9]{1,18}"

    @documented(
        "Coupons open for issue",
        "Coupons whose issue is open now, including sold-out ones.",
        operation_id="coupons",
        response=paged(serializers.CouponSerializer),
        parameters=HistoryPages.parameters,
        public=True,
    )
    def list(self, request: Request) -> Response:
        require_known_parameters(request, HistoryPages.names)
        return HistoryPages.respond(request, selectors.open_coupons(timezone.now()), serializers.CouponSerializer)

    @documented(
        "Get a coupon",
        "First come, first served: one unit of the coupon for the caller, one per customer. Takes no body.",
        operation_id="couponIssue",
        path_id="couponId",
        response=serializers.UserCouponSerializer,
        refusals=[CouponNotFound, UserNotFound, CouponSoldOut, CouponAlreadyIssued, CouponNotOpen],
        writes=True,
    )
    @action(detail=True, methods=["post"], throttle_classes=[CouponIssues])
    def issue(self, request: Request, couponId: str) -> HttpResponse:  # noqa: N803  # the contract's name
        body_if_any(request)
        user_id = caller_of(request).id
        return answer_once(
            request,
            lambda idempotency: services.issue_coupon(
                user_id=user_id, coupon_id=int(couponId), idempotency=idempotency
            ),
            serializers.held_as_json,
        )


class UserCouponViewSet(ApiViewSet):
    """Coupons a customer holds."""

    @documented(
        "Coupons held",
        "The coupons of an account, newest first; by default those that can be used.",
        operation_id="userCoupons",
        response=paged(serializers.UserCouponSerializer),
        parameters=[serializers.WalletQuerySerializer, *HistoryPages.parameters],
        acts_on_account=True,
    )
    def list(self, request: Request) -> Response:
        query = query_of(request, serializers.WalletQuerySerializer, paging=HistoryPages.names)
        coupons = selectors.coupons_of(
            account_of(request, query.get("userId"), right="coupons.view_usercoupon"),
            status=query["status"],
            now=timezone.now(),
        )
        return HistoryPages.respond(request, coupons, serializers.UserCouponSerializer)
