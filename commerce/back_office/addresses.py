"""Where the back-office lists what a figure counts."""

from urllib.parse import urlencode

from django.urls import reverse


def address(model: str, **filters: object) -> str:
    """The list of a model, such as `orders.order`, narrowed by the parameters of its filters."""
    page = reverse("admin:{}_{}_changelist".format(*split(model)))
    return f"{page}?{urlencode(filters)}" if filters else page


def split(model: str) -> tuple[str, str]:
    """The app and the model of `orders.order`."""
    app_label, _dot, name = model.partition(".")
    return app_label, name
