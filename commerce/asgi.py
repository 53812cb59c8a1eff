"""The web process: runs `commerce.wsgi`; API requests run as tasks of one thread."""

import gc
import os

# Django refuses database access in the thread of an event loop, because it would block. Tasks do not block it.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"

from django.conf import settings  # after the line above

from commerce.core.metrics import keep_adding  # the same
from commerce.core.postgresql.base import separate_connections_of_tasks  # the same
from commerce.server.application import Server, Wsgi  # the same
from commerce.server.connections import Connection  # the same
from commerce.server.dispatch import PROBES, may_block  # the same
from commerce.wsgi import application as shop  # the same


def as_tasks(application: Wsgi) -> Server:
    """The ASGI application for a WSGI application."""
    return Server(
        application,
        may_block=may_block,
        probes=PROBES,
        threads=settings.WEB_THREADS,
        largest_body_bytes=settings.DATA_UPLOAD_MAX_MEMORY_SIZE,
    )


separate_connections_of_tasks()
keep_adding()
Connection.request_seconds = settings.WEB_REQUEST_SECONDS
application = as_tasks(shop)
# Objects that exist now are permanent, so the garbage collector skips them.
gc.collect()
gc.freeze()
