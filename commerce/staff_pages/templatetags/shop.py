"""What templates of the back-office need: `{% load shop %}`, then `{{ amount|won }}`."""

from django import template

from commerce.staff_pages import display

register = template.Library()
register.filter("won", display.won)
register.filter("won_moved", display.won_moved)
