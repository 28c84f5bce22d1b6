"""``{% load results %}``: filters for the pages that show missions, items and results."""

from __future__ import annotations

import json
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from django import template
from django.template.defaultfilters import floatformat
from django.utils.translation import ngettext, npgettext

from core.money import amount_text
from mission_pages import gallery_queries
from missions import failures
from missions.links import mission_urls, output_url, thumbnail_url
from missions.models import ItemStatus, Mission, MissionItem, Output, OutputStatus
from missions.results import names
from providers import catalog
from providers.adapters.registry import PROVIDERS

register = template.Library()


@register.filter
def file_url(output: Output) -> str:
    """Return the URL of the result."""
    return output_url(output)


@register.filter
def file_name(output: Output) -> str:
    """Return the name of the result's file, as in every download."""
    return names.file_name(output.item, output)


@register.filter
def original_names(item: MissionItem) -> str:
    """Return the original names of the photos that an item is made from; "" if there is none."""
    return ", ".join(names.source_names(item))


@register.filter
def picture_url(output: Output) -> str:
    """Return the URL of the result's thumbnail; for a video that is its first frame."""
    return thumbnail_url(output)


@register.filter
def kind(output: Output) -> str:
    """Return how a page can show the result: image, video, text or file."""
    if not output.file:
        return "text"
    family = output.content_type.partition("/")[0]
    return family if family in ("image", "video") else "file"


@register.filter
def first_stored(outputs: Iterable[Output]) -> Output | None:
    """Return the first of an item's outputs that can be shown."""
    return next((output for output in outputs if output.status == OutputStatus.STORED), None)


@register.filter
def amount(value: Decimal) -> str | None:
    """Return an amount of money as a field takes it: ``12.50``."""
    return amount_text(value)


@register.filter
def place(item: MissionItem, view: str) -> str:
    """Return the place of a result in a view of a gallery: ``{{ item|place:"newest" }}``."""
    return gallery_queries.place_of(item, view)


@register.filter
def percent(share: float) -> int:
    """Return a share from 0 to 1 as whole percent, rounded down: 100 means that it is done."""
    return int(share * 100)


@register.filter
def speed(number: float) -> str:
    """Return a speed with at most one digit after the point, from 10 on with none."""
    return str(floatformat(number, "-1g" if number < 10 else "0g"))


@register.filter
def item_status_label(status: str) -> str:
    """Return the label of an item's status: ``{{ "failed"|item_status_label }}``."""
    return str(ItemStatus(status).label)


@register.filter
def model_label(mission: Mission) -> str:
    """Return the name of a mission's model in the reader's language."""
    return catalog.model_of(mission).label


@register.filter
def provider_label(mission: Mission) -> str:
    """Return the provider's name for people: "RunningHub"."""
    kind = PROVIDERS.get(mission.provider)
    return str(kind.label) if kind else mission.provider


@register.filter
def items_text(count: int, kind: str) -> str:
    """Return "30 items", in Chinese with the measure word of what is made (image, video, text).

    ``{{ preview.count|items_text:"video" }}``
    """
    match kind:
        case "image":
            text = npgettext("images", "%(shown)s item", "%(shown)s items", count)
        case "video":
            text = npgettext("videos", "%(shown)s item", "%(shown)s items", count)
        case _:
            text = ngettext("%(shown)s item", "%(shown)s items", count)
    return text % {"shown": f"{count:,}"}


@register.filter
def as_json(data: Any) -> str:
    """Return indented JSON for people."""
    return json.dumps(data, ensure_ascii=False, indent=2)


@register.filter
def api_url(mission: Mission, name: str) -> str:
    """Return one of the mission's URLs in the API: ``{{ mission|api_url:"download" }}``."""
    return mission_urls(mission.pk)[name]


@register.filter
def price_of(mission: Mission, count: int) -> Decimal | None:
    """Return the estimated price of one attempt of ``count`` items; None if it is unknown."""
    return failures.estimate(mission, count)
