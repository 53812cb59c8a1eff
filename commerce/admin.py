"""The back-office's name and its staff groups. What staff see of the shop is each app's own `admin`."""

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin
from django.contrib.auth.models import Group
from django.utils.translation import gettext_lazy as _

from commerce.core.staff_pages import KeptForever
from commerce.http.staff_login import StaffLoginForm

admin.site.login_form = StaffLoginForm
admin.site.site_header = _("Commerce back-office")
admin.site.site_title = _("Commerce back-office")
admin.site.index_title = _("The shop")
# `/` is nothing of ours, so there is no site to view.
admin.site.site_url = None

admin.site.unregister(Group)


@admin.register(Group)
class StaffGroupAdmin(KeptForever, GroupAdmin):
    """What the members of a group may do."""
