"""The web process: Django, with the back-office's static files served beside it."""

import os

from django.core.wsgi import get_wsgi_application
from whitenoise import WhiteNoise

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "commerce.settings")

_django = get_wsgi_application()

from django.conf import settings  # noqa: E402  # settings exist once Django is set up

application = WhiteNoise(_django, root=str(settings.STATIC_ROOT), prefix=settings.STATIC_URL)
