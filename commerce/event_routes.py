"""Which event goes where, in one table.

Owns the routes and the sink behind each destination; the events themselves are described by the apps that make them.
"""

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
    # Whatever goes to Kafka, and what names it above, to third parties that have subscribed to its type.
    WEBHOOKS: "commerce.outbox.sinks.webhooks.WebhookSink",
    # PRODUCT_STATS_MODE=inline: counted without Kafka, right after the order.
    PRODUCT_STATS: "stats.consumers.InlineSink",
}
