"""The filter ``reason``, as in ``{{ entry.get_change_message|reason }}``: translate a log entry."""

from django import template

from core.db.reasons import display

register = template.Library()


@register.filter
def reason(text: str) -> str:
    """Return the sentence of a reason's code; any other text as it is."""
    return display(text, text, None)
