"""``{{ entry.get_change_message|reason }}``: an entry of the admin's log in the language of the reader."""

from django import template

from core.db.reasons import display

register = template.Library()


@register.filter
def reason(text: str) -> str:
    """Return the sentence of a reason's code; any other text as it is."""
    return display(text, text, None)
