"""What the shop answers, sends and refuses: the shapes of its OpenAPI document."""

from commerce_client._generated.models import *  # noqa: F403
from commerce_client._generated.models import __all__  # noqa: F401
