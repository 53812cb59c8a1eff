"""The refusals around orders."""

from typing import Annotated, TypedDict

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from msgspec import Meta

from commerce.core.errors import Conflict, NotFound


class OrderNotFound(NotFound):
    """There is no such order among those the caller may see."""

    code = "order_not_found"
    title = _("Order not found")

    def __init__(self, order_id: int) -> None:
        self.order_id = order_id

    @property
    def detail(self) -> str | Promise:
        return _("You have no order %(order_id)d.") % {"order_id": self.order_id}


class OrderState(TypedDict):
    orderStatus: Annotated[str, Meta(description="The order's `status`.")]


class OrderNotCancellable(Conflict):
    """The order is not in a state that can be cancelled: it has been already."""

    code = "order_not_cancellable"
    title = _("Order not cancellable")

    def __init__(self, order_id: int, status: str) -> None:
        self.order_id = order_id
        self.status = status

    @property
    def detail(self) -> str | Promise:
        return _("Order %(order_id)d is %(status)s.") % {"order_id": self.order_id, "status": self.status}

    @property
    def fields(self) -> OrderState:
        return {"orderStatus": self.status}
