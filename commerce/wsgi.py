"""The WSGI application: cached pages, static files of the back-office, and Django.

A web process runs it through `commerce.asgi`.
"""

import os

import django
from whitenoise import WhiteNoise

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "commerce.settings")

django.setup(set_prefix=False)

from django.conf import settings  # noqa: E402  # settings are available after Django's setup

from commerce import urls  # noqa: E402, F401  # before the first request, which would otherwise import all pages
from commerce.core.postgresql.shared import SharedConnections  # noqa: E402  # needs the settings too
from commerce.server.admission import SharingConnections  # noqa: E402  # the same
from commerce.server.handler import ShopHandler  # noqa: E402  # the same
from commerce.server.ready_pages import ReadyPages  # noqa: E402  # the same

_shared = SharedConnections(
    settings.WEB_CONNECTIONS, waiting=settings.WEB_WAITING, wait_seconds=settings.WEB_WAIT_SECONDS
)
_shop = SharingConnections(ShopHandler(), _shared)
application = ReadyPages(WhiteNoise(_shop, root=str(settings.STATIC_ROOT), prefix=settings.STATIC_URL))
