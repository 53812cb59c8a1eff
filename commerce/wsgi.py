"""What answers requests: Django, the back-office's static files beside it, and cached pages before both.

A web process runs it in `commerce.asgi`.
"""

import os

import django
from whitenoise import WhiteNoise

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "commerce.settings")

django.setup(set_prefix=False)

from django.conf import settings  # noqa: E402  # settings exist once Django is set up

from commerce.core.postgresql.shared import SharedConnections  # noqa: E402  # the same
from commerce.http.admission import SharingConnections  # noqa: E402  # the same
from commerce.http.handler import ShopHandler  # noqa: E402  # the same
from commerce.http.ready_pages import ReadyPages  # noqa: E402  # the same

_shared = SharedConnections(
    settings.WEB_CONNECTIONS, waiting=settings.WEB_WAITING, wait_seconds=settings.WEB_WAIT_SECONDS
)
_shop = SharingConnections(ShopHandler(), _shared)
application = ReadyPages(WhiteNoise(_shop, root=str(settings.STATIC_ROOT), prefix=settings.STATIC_URL))
