"""Which event goes where, in one table.

Owns the routes and the sink behind each destination; the events themselves are described by the apps that make them.
"""

from commerce.outbox.routes import DATA_PLATFORM, KAFKA, PRODUCT_STATS

ROUTES = {
    "balance-changed": (KAFKA,),
    "coupon-issued": (KAFKA,),
    "order-completed": (KAFKA, DATA_PLATFORM, PRODUCT_STATS),
    "order-cancelled": (KAFKA, DATA_PLATFORM, PRODUCT_STATS),
}

SINKS = {
    KAFKA: "commerce.outbox.sinks.kafka.KafkaSink",
    DATA_PLATFORM: "commerce.outbox.sinks.data_platform.DataPlatformSink",
    # PRODUCT_STATS_MODE=inline: counted without Kafka, right after the order.
    PRODUCT_STATS: "stats.consumers.InlineSink",
}
