"""Rights in templates."""

from __future__ import annotations

from typing import Any

from django import template
from django.db.models import Model

from accounts import rights

register = template.Library()


@register.simple_tag(takes_context=True)
def may(context: dict[str, Any], action: str, row: Model) -> bool:
    """Return True if the reader may do something to a row: ``{% may "change" mission as … %}``."""
    return rights.may(context["request"].user, rights.Action(action), row)
