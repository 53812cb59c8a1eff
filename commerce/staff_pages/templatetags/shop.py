"""Template filters of the back-office: `{% load shop %}`, then `{{ amount|won }}` or `{{ units|thousands }}`."""

from django import template

from commerce.staff_pages import audit_display, display

register = template.Library()
register.filter("won", display.won)
register.filter("won_moved", display.won_moved)
register.filter("thousands", display.thousands)
register.filter("changes", audit_display.changes_of)
