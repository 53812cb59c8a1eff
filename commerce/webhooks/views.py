"""Endpoints of webhook subscriptions, for staff."""

from typing import Any

from django.http import HttpResponse
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from commerce.api.answers import answer_once
from commerce.api.authentication import caller_of, require_right
from commerce.api.paging import HistoryPages
from commerce.api.schema import documented, paged
from commerce.api.validation import body_if_any, body_of, require_known_parameters
from commerce.api.viewsets import ApiViewSet
from commerce.audit.record import Staff
from commerce.server.json_codec import dump, json_response
from commerce.webhooks import selectors, serializers, services
from commerce.webhooks.errors import WebhookLimitReached, WebhookNotFound
from commerce.webhooks.services import Made

SEE, ADD, CHANGE = (f"outbox.{verb}_webhooksubscription" for verb in ("view", "add", "change"))
SEND = "outbox.resend_outboxmessage"
_COLUMNS = {"name": "name", "url": "url", "eventTypes": "event_types", "active": "is_active"}


class WebhookViewSet(ApiViewSet):
    """Webhook subscriptions and their calls."""

    lookup_url_kwarg = "webhookId"
    lookup_value_regex = r"[0-9]{1,18}"

    @documented(
        "Webhooks",
        "All subscriptions, newest first. For staff with the permission to see them.",
        operation_id="webhooks",
        response=paged(serializers.WebhookSerializer),
        parameters=HistoryPages.parameters,
        acts_on_account=True,
    )
    def list(self, request: Request) -> Response:
        require_right(caller_of(request), SEE)
        require_known_parameters(request, HistoryPages.names)
        return HistoryPages.respond(request, selectors.webhooks(), serializers.WebhookSerializer)

    @documented(
        "Webhook",
        "One subscription. For staff with the permission to see them.",
        operation_id="webhook",
        path_id="webhookId",
        response=serializers.WebhookSerializer,
        refusals=[WebhookNotFound],
        acts_on_account=True,
    )
    def retrieve(self, request: Request, webhookId: str) -> Response:  # noqa: N803  # the contract's name
        require_right(caller_of(request), SEE)
        return Response(serializers.webhook_as_json(selectors.webhook_for(int(webhookId))))

    @documented(
        "Subscribe a webhook",
        "Sends later events of these types to the URL. The response contains the secret that signs the calls; it is not"
        " shown again. For staff with the permission to add webhooks.",
        operation_id="webhookCreate",
        request=serializers.NewWebhookSerializer,
        response=serializers.WebhookSecretSerializer,
        refusals=[WebhookLimitReached],
        acts_on_account=True,
        writes=True,
    )
    def create(self, request: Request) -> HttpResponse:
        by = _staff(request, ADD)
        body = body_of(request, serializers.NewWebhookSerializer)
        return _with_secret(
            request,
            lambda idempotency: services.create_webhook(
                name=body["name"], url=body["url"], event_types=body["eventTypes"], by=by, idempotency=idempotency
            ),
            body=request.data,
        )

    @documented(
        "Change a webhook",
        "Changes name, URL, types or `active`. For staff with the permission to change webhooks.",
        operation_id="webhookChange",
        path_id="webhookId",
        request=serializers.WebhookChangesSerializer,
        response=serializers.WebhookSerializer,
        refusals=[WebhookNotFound],
        acts_on_account=True,
        writes=True,
    )
    def partial_update(self, request: Request, webhookId: str) -> HttpResponse:  # noqa: N803  # the contract's name
        by = _staff(request, CHANGE)
        body = body_of(request, serializers.WebhookChangesSerializer)
        changes = {_COLUMNS[name]: value for name, value in body.items()}
        return answer_once(
            request,
            lambda idempotency: services.change_webhook(int(webhookId), changes, by=by, idempotency=idempotency),
            serializers.webhook_as_json,
            body=request.data,
        )

    @documented(
        "Remove a webhook",
        "Stops its calls and deletes its secrets. For staff with the permission to change webhooks.",
        operation_id="webhookRemove",
        path_id="webhookId",
        response=serializers.RemovedWebhookSerializer,
        refusals=[WebhookNotFound],
        acts_on_account=True,
        writes=True,
    )
    def destroy(self, request: Request, webhookId: str) -> HttpResponse:  # noqa: N803  # the contract's name
        by = _staff(request, CHANGE)
        body_if_any(request)
        return answer_once(
            request,
            lambda idempotency: services.remove_webhook(int(webhookId), by=by, idempotency=idempotency),
            lambda webhook: {"id": webhook.pk},
        )

    @documented(
        "New secret of a webhook",
        "Creates a new secret, which is only in this response. For the given time calls have a signature by each of "
        "the two secrets. For staff with the permission to change webhooks.",
        operation_id="webhookRotate",
        path_id="webhookId",
        request=serializers.RotationSerializer,
        response=serializers.WebhookSecretSerializer,
        refusals=[WebhookNotFound],
        acts_on_account=True,
        writes=True,
    )
    @action(detail=True, methods=["post"])
    def secret(self, request: Request, webhookId: str) -> HttpResponse:  # noqa: N803  # the contract's name
        by = _staff(request, CHANGE)
        body = body_of(request, serializers.RotationSerializer)
        return _with_secret(
            request,
            lambda idempotency: services.rotate_secret(
                int(webhookId), overlap_hours=body["overlapHours"], by=by, idempotency=idempotency
            ),
            body=request.data,
        )

    @documented(
        "Calls of a webhook",
        "The calls of the last days with their outcomes, newest first. For staff with the permission to see webhooks.",
        operation_id="webhookCalls",
        path_id="webhookId",
        response=paged(serializers.WebhookCallSerializer),
        parameters=HistoryPages.parameters,
        refusals=[WebhookNotFound],
        acts_on_account=True,
    )
    @action(detail=True, methods=["get"])
    def calls(self, request: Request, webhookId: str) -> Response:  # noqa: N803  # the contract's name
        require_right(caller_of(request), SEE)
        require_known_parameters(request, HistoryPages.names)
        webhook = selectors.webhook_for(int(webhookId))
        return HistoryPages.respond(request, selectors.calls_of(webhook.pk), serializers.WebhookCallSerializer)

    @documented(
        "Send events to a webhook again",
        "Parked and delivered events, until their retention ends. For staff with the permission to send messages"
        " again.",
        operation_id="webhookResend",
        path_id="webhookId",
        request=serializers.SendAgainSerializer,
        response=serializers.SentAgainSerializer,
        refusals=[WebhookNotFound],
        acts_on_account=True,
        writes=True,
    )
    @action(detail=True, methods=["post"])
    def resend(self, request: Request, webhookId: str) -> HttpResponse:  # noqa: N803  # the contract's name
        by = _staff(request, SEND)
        body = body_of(request, serializers.SendAgainSerializer)
        return answer_once(
            request,
            lambda idempotency: services.send_again(int(webhookId), body["eventIds"], by=by, idempotency=idempotency),
            lambda count: {"queued": count},
            body=request.data,
        )


def _staff(request: Request, right: str) -> Staff:
    """Raises PermissionDenied."""
    caller = caller_of(request)
    require_right(caller, right)
    return Staff(caller.id)


def _with_secret(request: Request, use_case: Any, *, body: Any) -> HttpResponse:
    """The response with the secret. The one stored for the idempotency key is without it."""
    made: list[Made] = []

    def remembered(result: Made) -> dict[str, Any]:
        made[:] = [result]
        return {"webhook": serializers.webhook_as_json(result.webhook), "secret": None}

    answer = answer_once(request, use_case, remembered, body=body)
    if not made or answer.status_code != 200:
        return answer
    shown = {"webhook": serializers.webhook_as_json(made[0].webhook), "secret": made[0].secret}
    response = json_response(dump(shown))
    response.headers["Cache-Control"] = "no-store"
    return response
