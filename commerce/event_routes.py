"""The routes of all event types, and the sink of each destination."""

from commerce.outbox.routes import DATA_PLATFORM, KAFKA, MAIL, PRODUCT_STATS, WEBHOOKS

ROUTES = {
    "balance-changed": (KAFKA,),
    "coupon-issued": (KAFKA,),
    "coupon-expiring": (MAIL, WEBHOOKS),
    "order-completed": (KAFKA, DATA_PLATFORM, PRODUCT_STATS, MAIL),
    "order-cancelled": (KAFKA, DATA_PLATFORM, PRODUCT_STATS, MAIL),
    "order-refunded": (KAFKA, DATA_PLATFORM, PRODUCT_STATS, MAIL),
}

SINKS = {
    KAFKA: "commerce.outbox.sinks.kafka.KafkaSink",
    DATA_PLATFORM: "commerce.outbox.sinks.data_platform.DataPlatformSink",
    MAIL: "commerce.mail.sink.MailSink",
    # Webhook subscriptions receive the events of their types that go to Kafka or name WEBHOOKS above.
    WEBHOOKS: "commerce.outbox.sinks.webhooks.WebhookSink",
    # PRODUCT_STATS_MODE=inline: counted without Kafka, right after the order.
    PRODUCT_STATS: "stats.consumers.InlineSink",
}
