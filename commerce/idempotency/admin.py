"""The stored responses in the back-office."""

from http import HTTPStatus
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from commerce.idempotency.models import IdempotencyKey
from commerce.staff_pages.pages import ReadOnly


class OutcomeFilter(admin.SimpleListFilter):
    """Done or refused."""

    title = _("outcome")
    parameter_name = "outcome"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return (("done", _("done")), ("refused", _("refused")))

    def queryset(self, request: HttpRequest, queryset: "QuerySet[IdempotencyKey]") -> "QuerySet[IdempotencyKey]":
        if self.value() == "done":
            return queryset.filter(status=HTTPStatus.OK)
        return queryset.exclude(status=HTTPStatus.OK) if self.value() == "refused" else queryset


@admin.register(IdempotencyKey)
class IdempotencyKeyAdmin(ReadOnly):
    """One stored response per caller and key."""

    list_display = ("id", "caller_id", "key", "status", "created_at")
    list_filter = (OutcomeFilter,)
    search_fields = ("key__exact", "caller_id__exact")
    search_help_text = _("A key, or the number of a caller.")
    ordering = ("-id",)
    fields = ("caller_id", "key", "status", "content_type", "answer", "request_fingerprint", "created_at")
    readonly_fields = ("answer", "request_fingerprint")

    @admin.display(description=_("body"))
    def answer(self, entry: IdempotencyKey) -> str:
        return bytes(entry.body).decode()

    @admin.display(description=_("fingerprint"))
    def request_fingerprint(self, entry: IdempotencyKey) -> str:
        return bytes(entry.fingerprint).hex()
