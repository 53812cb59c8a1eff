"""The settings of drf-spectacular, which generates the OpenAPI document. None depends on the environment."""

SPECTACULAR_SETTINGS = {
    "TITLE": "Commerce API",
    "VERSION": "1.2.0",
    "DESCRIPTION": "A shop's wallet, first-come coupons, orders paid from stock, and what sells best.",
    "LICENSE": {"name": "MIT", "identifier": "MIT"},
    "CONTACT": {"name": "The operator of this shop"},
    "SERVERS": [{"url": "/", "description": "The shop that served this document."}],
    "OAS_VERSION": "3.1.1",
    "SCHEMA_PATH_PREFIX": r"/api",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_AUTHENTICATION": [],
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    # Non-empty text gets `minLength: 1`.
    "ENFORCE_NON_BLANK_FIELDS": True,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "commerce.api.schema_document.complete",
    ],
    "ENUM_NAME_OVERRIDES": {
        "LedgerEntryType": "balances.models.EntryType",
        "DiscountType": "coupons.models.DiscountType",
        "UserCouponStatus": "coupons.serializers.SHOWN_STATUSES",
        "OrderStatus": "orders.models.OrderStatus",
        "ReservationStatus": "reservations.models.ReservationStatus",
        "WebhookEventType": "commerce.webhooks.serializers.EVENT_TYPES",
        "WebhookOffBecause": "commerce.webhooks.serializers.OFF_BECAUSE",
        "WebhookCallOutcome": "commerce.outbox.models.DeliveryOutcome",
    },
}
