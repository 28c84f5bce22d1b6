"""``{% load watching %}``: where results are, for the pages that show missions."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from django import template

from missions import failures
from missions.links import mission_urls, output_url, thumbnail_url
from missions.models import ItemStatus, Mission, Output

register = template.Library()


@register.filter
def file_url(output: Output) -> str:
    """The result itself."""
    return output_url(output)


@register.filter
def picture_url(output: Output) -> str:
    """Its small picture, of a video the first frame."""
    return thumbnail_url(output)


@register.filter
def kind(output: Output) -> str:
    """How a page can show it: image, video, text or file."""
    if not output.file:
        return "text"
    family = output.content_type.partition("/")[0]
    return family if family in ("image", "video") else "file"


@register.filter
def item_status_word(status: str) -> str:
    """``{{ "failed"|item_status_word }}``: what a status of items is called."""
    return str(ItemStatus(status).label)


@register.filter
def as_json(data: Any) -> str:
    """JSON as people read it."""
    return json.dumps(data, ensure_ascii=False, indent=2)


@register.filter
def api_url(mission: Mission, name: str) -> str:
    """One of the mission's addresses in the API: ``{{ mission|api_url:"download" }}``."""
    return mission_urls(mission.pk)[name]


@register.filter
def price_of(mission: Mission, count: int) -> Decimal | None:
    """About what one attempt of ``count`` items costs."""
    return failures.estimate(mission, count)
