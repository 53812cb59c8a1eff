"""The models of responses, events and problems, from the OpenAPI document."""

from commerce_client._generated.models import *  # noqa: F403
from commerce_client._generated.models import __all__  # noqa: F401
