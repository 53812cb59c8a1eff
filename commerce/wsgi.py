"""The web process: Django, with the back-office's static files served beside it."""

import os

import django
from whitenoise import WhiteNoise

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "commerce.settings")

django.setup(set_prefix=False)

from django.conf import settings  # noqa: E402  # settings exist once Django is set up

from commerce.core.postgresql.shared import SharedConnections  # noqa: E402  # the same
from commerce.http.admission import SharingConnections  # noqa: E402  # the same
from commerce.http.bodies import WholeBodies  # noqa: E402  # the same
from commerce.http.handler import ShopHandler  # noqa: E402  # the same
from commerce.http.ready_pages import ReadyPages  # noqa: E402  # the same

_shared = SharedConnections(
    settings.WEB_CONNECTIONS, waiting=settings.WEB_WAITING, wait_seconds=settings.WEB_WAIT_SECONDS
)
_bodies = WholeBodies(
    SharingConnections(ShopHandler(), _shared),
    largest_bytes=settings.DATA_UPLOAD_MAX_MEMORY_SIZE,
    at_once=settings.WEB_BODIES_AT_ONCE,
)
application = ReadyPages(WhiteNoise(_bodies, root=str(settings.STATIC_ROOT), prefix=settings.STATIC_URL))
