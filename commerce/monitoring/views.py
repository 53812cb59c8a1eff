"""`/metrics`: the metrics of the web server's processes and of the whole shop, for Prometheus."""

import os
from pathlib import Path

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest, multiprocess
from prometheus_client import REGISTRY as PROCESS_REGISTRY

from commerce.core.metrics import add_noted
from commerce.monitoring.figures import ShopFigures
from commerce.server.health import read_only

SHOP_REGISTRY = CollectorRegistry()
SHOP_REGISTRY.register(ShopFigures())


@read_only
def metrics(request: HttpRequest) -> HttpResponse:
    """The metrics of all worker processes, and those of the shop."""
    add_noted()
    registry = PROCESS_REGISTRY
    if settings.PROMETHEUS_MULTIPROC_DIR:
        _remove_dead_workers(Path(settings.PROMETHEUS_MULTIPROC_DIR))
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # the library is untyped here
    return HttpResponse(generate_latest(registry) + generate_latest(SHOP_REGISTRY), content_type=CONTENT_TYPE_LATEST)


def _remove_dead_workers(folder: Path) -> None:
    """Remove the gauges of workers that have died. Their counters are kept."""
    for kept in folder.glob("gauge_live*_*.db"):
        try:
            os.kill(int(kept.stem.rpartition("_")[2]), 0)
        except (ProcessLookupError, PermissionError):
            # No process has this id, or one of another user. Another worker may be doing the same at this time.
            kept.unlink(missing_ok=True)
