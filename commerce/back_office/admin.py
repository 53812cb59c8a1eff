"""The admin site: login, own pages, groups and staff actions. Each app registers its own models."""

from functools import partial
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth.admin import GroupAdmin
from django.contrib.auth.models import Group, Permission
from django.db.models import Count, Model, Q, QuerySet
from django.http import HttpRequest
from django.urls import NoReverseMatch, URLPattern, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django_otp.plugins.otp_static.admin import StaticDevice
from django_otp.plugins.otp_totp.admin import TOTPDevice
from unfold.contrib.filters.admin import DropdownFilter

from balances.selectors import account_ids_called
from commerce.audit import search
from commerce.audit.models import StaffAction
from commerce.back_office import own_password, roles, search_page, second_factor, sessions
from commerce.mail import preview
from commerce.notes import panel as notes_panel
from commerce.staff_access import kept_forms
from commerce.staff_access.login_form import StaffLoginForm
from commerce.staff_pages import saved_views
from commerce.staff_pages.audit_display import changes_of
from commerce.staff_pages.filters import DayRangeFilter
from commerce.staff_pages.pages import NoDeleteAdmin, ReadOnly
from commerce.staff_pages.rights import right_in_words

MOST_NAMED = 200
"""The maximum number of accounts whose name matches a search."""

sessions.connect()

admin.site.login_form = StaffLoginForm
admin.site.login = partial(kept_forms.login, admin.site.login)  # type: ignore[method-assign,assignment]  # wraps it
admin.site.index_title = _("The shop")
admin.site.password_change = partial(own_password.page, admin.site)  # type: ignore[assignment]  # its own takes no form


def _own_urls() -> list[URLPattern]:
    return [*second_factor.urls(), *sessions.urls(), *saved_views.urls(), *notes_panel.urls(), *preview.urls()]


admin.site.search = search_page.search  # type: ignore[attr-defined]  # the theme's
admin.site.extra_urls = _own_urls  # type: ignore[attr-defined]  # the theme looks for it


def _in_words(right: Permission) -> str:
    return right_in_words(f"{right.content_type.app_label}.{right.codename}")


# Forms, selections and read-only pages all use the text of a permission.
Permission.__str__ = _in_words  # type: ignore[method-assign,assignment]

admin.site.unregister(Group)
# Unregistered: its page would show the key, and could add a second factor to an account that must not have one.
admin.site.unregister(TOTPDevice)
admin.site.unregister(StaticDevice)


@admin.register(Group)
class StaffGroupAdmin(NoDeleteAdmin, GroupAdmin):
    """Groups and their permissions. Only superusers change them; other staff could grant themselves permissions."""

    list_display = ("name", "meaning", "members")
    search_fields = ("name",)

    @admin.display(description=_("what for"))
    def meaning(self, group: Group) -> Any:
        return roles.MEANINGS.get(group.name, "–")

    @admin.display(description=_("members"))
    def members(self, group: Group) -> int:
        return group.members  # type: ignore[attr-defined,no-any-return]  # counted by `get_queryset`

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Group]":
        groups: QuerySet[Group] = super().get_queryset(request)
        return groups.annotate(members=Count("user"))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.is_superuser

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return request.user.is_superuser


class ActorFilter(DropdownFilter):
    """Filter by a member of staff, former ones included."""

    title = _("staff member")
    parameter_name = "actor"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return [(str(actor_id), username) for actor_id, username in search.actors()]

    def queryset(self, request: HttpRequest, queryset: "QuerySet[StaffAction]") -> "QuerySet[StaffAction]":
        known = {number for number, _name in self.lookup_choices}
        return queryset.filter(actor_id=int(self.value())) if self.value() in known else queryset


class ActionFilter(DropdownFilter):
    """Filter by kind of action."""

    title = _("action")
    parameter_name = "action"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return sorted(((action, gettext(action)) for action in search.actions()), key=lambda choice: choice[1])

    def queryset(self, request: HttpRequest, queryset: "QuerySet[StaffAction]") -> "QuerySet[StaffAction]":
        return queryset.filter(action=self.value()) if self.value() else queryset


@admin.register(StaffAction)
class StaffActionAdmin(ReadOnly):
    """Staff actions."""

    list_display = ("at", "actor", "in_words", "subject", "what_changed", "reason")
    list_filter = (("acted_at", DayRangeFilter), ActorFilter, ActionFilter)
    list_select_related = ("actor",)
    sortable_by = ("at",)
    search_fields = ("actor__username", "subject_id")
    search_help_text = _("The name of a staff member or of a customer, or the number of a row.")
    ordering = ("-acted_at",)
    fields = ("at", "actor", "in_words", "subject", "what_changed", "reason")
    readonly_fields = ("at", "in_words", "subject", "what_changed")

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[StaffAction]", search_term: str
    ) -> tuple["QuerySet[StaffAction]", bool]:
        """Search with an index for each kind of term; Django's own search would scan the table."""
        term = search_term.strip()
        if not term:
            return queryset, False
        named = [actor_id for actor_id, username in search.actors() if username == term]
        customers = [str(user_id) for user_id in account_ids_called(term, most=MOST_NAMED)]
        return queryset.filter(
            Q(actor_id__in=named)
            | Q(subject_id=term.removeprefix("#"))
            | Q(subject_type=get_user_model()._meta.label_lower, subject_id__in=customers)
        ), False

    @admin.display(description=_("at"), ordering="acted_at")
    def at(self, action: StaffAction) -> str:
        return f"{timezone.localtime(action.acted_at):%Y-%m-%d %H:%M:%S}"

    @admin.display(description=_("action"))
    def in_words(self, action: StaffAction) -> str:
        return action.in_words

    @admin.display(description=_("row"))
    def subject(self, action: StaffAction) -> str:
        model = apps.get_model(action.subject_type)
        if not action.subject_id:
            return str(model._meta.verbose_name_plural)
        name = f"{model._meta.verbose_name} {action.subject_id}"
        try:
            page = reverse(f"admin:{action.subject_type.replace('.', '_')}_change", args=[action.subject_id])
        except NoReverseMatch:
            return name
        return format_html('<a class="text-link" href="{}">{}</a>', page, name)

    @admin.display(description=_("before and after"))
    def what_changed(self, action: StaffAction) -> str:
        lines = format_html_join("", "<div>{}: {} → {}</div>", changes_of(action))
        return format_html('<div class="bo-changes">{}</div>', lines)
