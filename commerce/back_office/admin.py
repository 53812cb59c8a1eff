"""The back-office as a whole: its name, its roles, and what its staff did. What they see of the shop is each app's own.

Owns no page of the shop.
"""

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin
from django.contrib.auth.models import Group
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import RangeDateTimeFilter

from commerce.audit.models import StaffAction
from commerce.http.staff_login import StaffLoginForm
from commerce.staff_pages.pages import KeptForever, ReadOnly

admin.site.login_form = StaffLoginForm
admin.site.index_title = _("The shop")

admin.site.unregister(Group)


@admin.register(Group)
class StaffGroupAdmin(KeptForever, GroupAdmin):
    """What the members of a group may do."""


@admin.register(StaffAction)
class StaffActionAdmin(ReadOnly):
    """Who did what, when and why."""

    list_display = ("acted_at", "actor", "told", "subject", "what_changed", "reason")
    list_filter = (("acted_at", RangeDateTimeFilter),)
    list_select_related = ("actor",)
    search_fields = ("actor__username__exact", "subject_id__exact")
    search_help_text = _("The name of a staff member or the number of a row.")
    ordering = ("-id",)
    fields = ("acted_at", "actor", "told", "subject", "what_changed", "reason")
    readonly_fields = ("told", "subject", "what_changed")

    @admin.display(description=_("action"))
    def told(self, action: StaffAction) -> str:
        return action.told

    @admin.display(description=_("row"))
    def subject(self, action: StaffAction) -> str:
        name = f"{action.subject_type} {action.subject_id}".rstrip()
        if not action.subject_id:
            return name
        try:
            page = reverse(f"admin:{action.subject_type.replace('.', '_')}_change", args=[action.subject_id])
        except NoReverseMatch:
            return name
        return format_html('<a href="{}">{}</a>', page, name)

    @admin.display(description=_("before and after"))
    def what_changed(self, action: StaffAction) -> str:
        return format_html_join("", "<div>{}: {} → {}</div>", map(_told, action.changes))

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related("actor")


def _told(change: tuple[str, object, object]) -> tuple[str, object, object]:
    name, before, after = change
    return name, "–" if before is None else before, "–" if after is None else after
