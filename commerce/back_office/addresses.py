"""URLs of back-office lists."""

from urllib.parse import urlencode

from django.urls import reverse


def address(model: str, **filters: object) -> str:
    """The URL of a model's list, such as `orders.order`, with these filter parameters."""
    page = reverse("admin:{}_{}_changelist".format(*split(model)))
    return f"{page}?{urlencode(filters)}" if filters else page


def split(model: str) -> tuple[str, str]:
    """The app label and the model name of, for example, `orders.order`."""
    app_label, _dot, name = model.partition(".")
    return app_label, name
