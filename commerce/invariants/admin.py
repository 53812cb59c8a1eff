"""The results of the invariant checks in the back-office. `manage.py check_invariants` runs the checks."""

from django.contrib import admin
from django.template.loader import render_to_string
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import BooleanRadioFilter

from commerce.invariants.check import meanings
from commerce.invariants.models import InvariantCheck
from commerce.staff_pages.display import label
from commerce.staff_pages.pages import ReadOnly


@admin.register(InvariantCheck)
class InvariantCheckAdmin(ReadOnly):
    """One check and its result."""

    list_display = ("checked_at", "verdict", "what_is_broken", "asked_count", "kind", "duration_ms")
    list_filter = (("holds", BooleanRadioFilter),)
    ordering = ("-id",)
    fields = (
        *("checked_at", "verdict", "found", "asked_count", "not_asked"),
        *("kind", "duration_ms"),
    )
    readonly_fields = ("verdict", "found", "not_asked", "kind")

    @admin.display(description=_("verdict"))
    def verdict(self, check: InvariantCheck) -> str:
        return label(_("holds"), "success") if check.holds else label(_("broken"), "danger")

    @admin.display(description=_("what does not hold"))
    def what_is_broken(self, check: InvariantCheck) -> str:
        return ", ".join(f"{each['invariant']} ({each['count']})" for each in check.violations)

    @admin.display(description=_("what does not hold"))
    def found(self, check: InvariantCheck) -> str:
        known = meanings()
        broken = [{**each, "meaning": gettext(known.get(each["invariant"], ""))} for each in check.violations]
        return render_to_string("admin/invariants/violations.html", {"broken": broken})

    @admin.display(description=_("kind"))
    def kind(self, check: InvariantCheck) -> str:
        words = [check.is_deep and _("with every ledger entry hashed anew"), check.is_quiet and _("of a quiet system")]
        return ", ".join(str(word) for word in words if word) or str(_("ordinary"))

    @admin.display(description=_("not asked"))
    def not_asked(self, check: InvariantCheck) -> str:
        return ", ".join(check.skipped)
