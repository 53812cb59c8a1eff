"""Endpoints of reservations."""

from django.http import HttpResponse
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from balances.errors import UserNotFound
from commerce.api.answers import answer_once
from commerce.api.authentication import caller_of
from commerce.api.schema import documented
from commerce.api.validation import body_if_any, body_of
from commerce.api.viewsets import ApiViewSet
from products.errors import OutOfStock, ProductNotFound
from reservations import selectors, serializers, services
from reservations.errors import ReservationExpired, ReservationNotFound
from reservations.serializers import reservation_as_json


class ReservationViewSet(ApiViewSet):
    """Reservations of the caller."""

    lookup_url_kwarg = "reservationId"
    lookup_value_regex = r"[0-9]{1,18}"

    @documented(
        "Hold units for a cart",
        "All of the items or none, for ten minutes unless the shop says otherwise. A customer has one reservation: the "
        "one before ends in the same moment, and stays as it was where this one is refused. Prices are not held.",
        operation_id="reservationMake",
        request=serializers.ReservationRequestSerializer,
        response=serializers.ReservationSerializer,
        refusals=[ProductNotFound, UserNotFound, OutOfStock],
        writes=True,
    )
    def create(self, request: Request) -> HttpResponse:
        body = body_of(request, serializers.ReservationRequestSerializer)
        user_id = caller_of(request).id
        quantities = {item["productId"]: item["quantity"] for item in body["items"]}
        return answer_once(
            request,
            lambda idempotency: services.reserve(user_id=user_id, quantities=quantities, idempotency=idempotency),
            reservation_as_json,
            body=request.data,
        )

    @documented(
        "Reservation held",
        "The caller's active reservation; no results if there is none.",
        operation_id="reservations",
        response=serializers.LiveReservationSerializer,
    )
    def list(self, request: Request) -> Response:
        found = selectors.live_of(caller_of(request).id, now=timezone.now())
        return Response({"results": [reservation_as_json(each) for each in found]})

    @documented(
        "Reservation",
        "One of the caller's reservations, also an ended one until it is deleted.",
        operation_id="reservation",
        path_id="reservationId",
        response=serializers.ReservationSerializer,
        refusals=[ReservationNotFound],
    )
    def retrieve(self, request: Request, reservationId: str) -> Response:  # noqa: N803  # the contract's name
        reservation = selectors.reservation_for(int(reservationId), owner_id=caller_of(request).id)
        return Response(reservation_as_json(reservation))

    @documented(
        "Release a reservation",
        "Releases its units. A reservation that has ended without an order is unchanged.",
        operation_id="reservationRelease",
        path_id="reservationId",
        response=serializers.ReservationSerializer,
        refusals=[ReservationNotFound, ReservationExpired],
        writes=True,
    )
    def destroy(self, request: Request, reservationId: str) -> HttpResponse:  # noqa: N803  # the contract's name
        body_if_any(request)
        user_id = caller_of(request).id
        return answer_once(
            request,
            lambda idempotency: services.release(
                reservation_id=int(reservationId), user_id=user_id, idempotency=idempotency
            ),
            reservation_as_json,
        )
