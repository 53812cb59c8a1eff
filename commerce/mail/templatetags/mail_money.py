"""Template filters for amounts in e-mails."""

from django import template
from django.utils.translation import get_language

register = template.Library()


@register.filter
def amount(number: int) -> str:
    return f"{number:,}"


@register.filter
def won(number: int) -> str:
    """18,600원, and ₩18,600 in English; negative amounts with a leading minus."""
    sign = "-" if number < 0 else ""
    return f"{sign}{abs(number):,}원" if get_language() == "ko" else f"{sign}₩{abs(number):,}"


@register.filter
def negative(number: int) -> int:
    return -number
