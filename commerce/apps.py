from django.apps import AppConfig
from django.conf import settings
from django.contrib.postgres.indexes import OpClass
from django.db.models.expressions import OrderBy
from django.db.models.functions import Collate
from django.db.models.indexes import IndexExpression

from commerce.core import tracing


class CommerceConfig(AppConfig):
    name = "commerce"
    verbose_name = "Commerce"

    def ready(self) -> None:
        if settings.OTEL_EXPORTER_OTLP_ENDPOINT:
            tracing.start(share=settings.OTEL_TRACES_SAMPLER_ARG)
        # As `django.contrib.postgres` does, which would also ask each new connection for types that are not used here.
        IndexExpression.register_wrappers(OrderBy, OpClass, Collate)
