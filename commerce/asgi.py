"""The web process: `commerce.wsgi`, whose requests to the API run as tasks of one thread."""

import gc
import os

# Django refuses to use a database in the thread of an event loop, where it would block it. A task does not.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"

from django.conf import settings  # after the line above

from commerce.core.metrics import keep_adding  # the same
from commerce.core.postgresql.base import separate_connections_of_tasks  # the same
from commerce.http.api import PROBES, may_block  # the same
from commerce.http.connections import Connection  # the same
from commerce.http.server import Server, Wsgi  # the same
from commerce.wsgi import application as shop  # the same


def as_tasks(application: Wsgi) -> Server:
    """The ASGI application that answers what `application` answers."""
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
# What is there now stays: a full collection need not look at it again.
gc.collect()
gc.freeze()
