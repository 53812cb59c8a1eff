"""Refusals of operations on webhook subscriptions."""

from typing import Annotated, TypedDict

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from msgspec import Meta

from commerce.core.errors import Conflict, NotFound


class WebhookNotFound(NotFound):
    """There is no such subscription, or it was removed."""

    code = "webhook_not_found"
    title = _("Webhook not found")

    def __init__(self, webhook_id: int) -> None:
        self.webhook_id = webhook_id

    @property
    def detail(self) -> str | Promise:
        return _("There is no webhook %(webhook_id)d.") % {"webhook_id": self.webhook_id}


class Most(TypedDict):
    most: Annotated[int, Meta(description="The limit.")]


class WebhookLimitReached(Conflict):
    """The limit of subscriptions is reached. Remove one that is not needed."""

    code = "webhook_limit_reached"
    title = _("Too many webhooks")

    def __init__(self, most: int) -> None:
        self.most = most

    @property
    def detail(self) -> str | Promise:
        return _("There are %(most)d webhooks already.") % {"most": self.most}

    @property
    def fields(self) -> Most:
        return {"most": self.most}
