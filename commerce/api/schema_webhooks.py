"""The webhooks in the OpenAPI schema: requests to a partner who receives orders, and to those who subscribe to events.

The requests are sent by `commerce.outbox.sinks.data_platform` and `commerce.outbox.sinks.webhooks`.
"""

from commerce.api.schema_problems import COMPONENTS, Schema
from commerce.outbox.routes import WEBHOOKS, event_types_to

SUBSCRIBED = "SubscribedEvent"
CLOUD_EVENT = "application/cloudevents+json"

_EVENTS = {
    "order-completed": ("OrderCompleted", "orderCompleted", "An order was completed"),
    "order-cancelled": ("OrderCancelled", "orderCancelled", "An order was cancelled"),
    "order-refunded": ("OrderRefunded", "orderRefunded", "Items of an order were refunded"),
}
_ABOUT = {"order-refunded": ("refund", "MadeRefund")}
"""What an event is about, and the component of its data, where that is not the order."""


def event_components() -> dict[str, Schema]:
    """The bodies of the webhooks."""
    events = {f"{name}Event": _cloud_event(kind) for kind, (name, _operation, _summary) in _EVENTS.items()}
    return events | {SUBSCRIBED: _subscribed_event()}


def webhooks(examples: Schema) -> dict[str, Schema]:
    """One webhook for each type of event, with an example."""
    calls = {kind: {"post": _call(kind, examples.get(kind))} for kind in _EVENTS}
    return calls | {"subscribed-event": {"post": _subscribed_call(examples.get("order-completed"))}}


def _cloud_event(kind: str) -> Schema:
    subject, component = _ABOUT.get(kind, ("order", "Order"))
    properties: Schema = {
        "specversion": {"type": "string", "const": "1.0"},
        "id": {
            "type": "string",
            "minLength": 1,
            "description": "Unique for each event, and the same in every repeat. Compare it as a whole.",
        },
        "source": {"type": "string", "format": "uri-reference", "minLength": 1},
        "type": {"type": "string", "const": kind},
        "subject": {"type": "string", "pattern": f"^{subject}/[0-9]+$"},
        "time": {"type": "string", "format": "date-time", "description": "When it happened."},
        "datacontenttype": {"type": "string", "const": "application/json"},
        "data": {"$ref": COMPONENTS + component},
    }
    return {
        "type": "object",
        "description": "A CloudEvent 1.0.",
        "properties": properties,
        "required": list(properties),
    }


def _subscribed_event() -> Schema:
    properties: Schema = {
        **_cloud_event("")["properties"],
        "type": {"type": "string", "enum": event_types_to(WEBHOOKS)},
        "subject": {"type": "string", "minLength": 1},
        "data": {
            "type": "object",
            "additionalProperties": True,
            "description": "As described in `docs/asyncapi.yaml` for each type.",
        },
    }
    return {
        "type": "object",
        "description": "A CloudEvent 1.0 of a subscribed type.",
        "properties": properties,
        "required": list(properties),
    }


def _subscribed_call(example: Schema | None) -> Schema:
    def header(name: str, pattern: str, description: str) -> Schema:
        schema = {"type": "string", "pattern": pattern}
        return {"in": "header", "name": name, "required": True, "schema": schema, "description": description}

    return {
        "operationId": "subscribedEvent",
        "summary": "An event that a webhook has subscribed to",
        "description": "To the URL of a webhook, according to Standard Webhooks. It may be repeated with the same"
        " `webhook-id`, and the order is not guaranteed. Redirects are not followed.",
        "tags": ["webhooks"],
        "security": [],
        "parameters": [
            header("webhook-id", "^[!-~]+$", "The `id` of the event. Drop a call whose id you have seen."),
            header("webhook-timestamp", "^[0-9]+$", "The time of the call, in Unix seconds."),
            header(
                "webhook-signature",
                "^v1,[A-Za-z0-9+/]{43}=( v1,[A-Za-z0-9+/]{43}=)*$",
                "`v1,` and the HMAC-SHA256, in Base64, of id, timestamp and body with dots between them; the key is"
                " what follows `whsec_` in the secret, decoded. There may be several; one has to match.",
            ),
        ],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": COMPONENTS + SUBSCRIBED}, "example": example}},
        },
        "responses": {
            "200": {"description": "Acknowledged, as by any other `2xx`. It is not sent again."},
            "4XX": {"description": "Not acknowledged; it is retried for three days. `410` ends the subscription."},
            "5XX": {"description": "Not acknowledged. It is retried later, after `Retry-After` if present."},
        },
    }


def _call(kind: str, example: Schema | None) -> Schema:
    name, operation, summary = _EVENTS[kind]
    return {
        "operationId": operation,
        "summary": summary,
        "description": "To the data platform, if one is configured. It may be repeated with the same"
        " `Idempotency-Key`, and `order-cancelled` or `order-refunded` may arrive before `order-completed`.",
        "tags": ["orders"],
        "security": [],
        "parameters": [
            {
                "in": "header",
                "name": "Idempotency-Key",
                "required": True,
                "schema": {"type": "string", "minLength": 1},
                "description": "The `id` of the event. Drop a call whose key you have seen.",
            },
            {
                "in": "header",
                "name": "X-Signature",
                "required": True,
                "schema": {"type": "string", "pattern": "^t=[0-9]+(,v1=[0-9a-f]{64})+$"},
                "description": "`t`, the time of the call in Unix seconds, and `v1`, the HMAC-SHA256 of `t`, a dot and"
                " the bytes of the body, in hexadecimal, with the shared secret as the key. There may be several"
                " `v1`; one has to match.",
            },
        ],
        "requestBody": {
            "required": True,
            "content": {CLOUD_EVENT: {"schema": {"$ref": f"{COMPONENTS}{name}Event"}, "example": example}},
        },
        "responses": {
            "200": {"description": "Acknowledged, as by any other `2xx`. It is not sent again."},
            "4XX": {
                "description": "Not acknowledged. `400`, `409`, `413`, `415` and `422` concern this event only; with"
                " any other status all calls wait. It is retried later, after `Retry-After` if present."
            },
            "5XX": {"description": "Not acknowledged. All calls wait, and it is retried later."},
        },
    }
