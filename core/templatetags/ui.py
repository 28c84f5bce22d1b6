"""Tags for the components of our pages, and filters for money, times and numbers.

Use ``{% load ui %}``.  The markup of a tag is in ``templates/components/<tag>.html``; the page
``/components`` shows all of them.  Tags with an ``{% end… %}`` take the text between as their
content.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from django import template
from django.core.paginator import Page
from django.forms import BoundField, CheckboxInput
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.templatetags.static import static
from django.utils import formats, timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from core.money import money_text
from core.ui import actions, statuses
from core.ui.navigation import Link

register = template.Library()

# The tone and icon of a notice or message, including the levels of Django's messages.
TONES: dict[str, tuple[str, str]] = {
    "info": ("busy", "info"),
    "success": ("good", "check-circle"),
    "warning": ("warn", "warning"),
    "error": ("bad", "x-circle"),
    "neutral": ("neutral", "info"),
}
TASK_TYPE_ICONS = {
    "text_to_image": "text-image",
    "image_to_image": "image-image",
    "text_to_video": "text-video",
    "image_to_video": "image-video",
    "text": "text",
}


# --- Icons, statuses, bars ---


@register.simple_tag
def icon(name: str, extra: str = "") -> SafeString:
    """Render an icon: ``{% icon "download" %}``.  Screen readers skip it.

    ``extra`` are classes: ``icon-small``, ``icon-large``, ``spins``.
    """
    return format_html(
        '<svg class="icon {}" aria-hidden="true"><use href="{}#{}"/></svg>', extra, static("app/icons.svg"), name
    )


@register.filter
def task_type_icon(task_type: str) -> str:
    """Return the icon of a task type: ``{% icon mission.task_type|task_type_icon %}``."""
    return TASK_TYPE_ICONS.get(task_type, "missions")


@register.inclusion_tag("components/status_badge.html")
def status_badge(status: str, kind: str = "item") -> dict[str, Any]:
    """Render a status: ``{% status_badge mission.status "mission" %}``.

    ``kind`` is one of those registered in ``core.ui.statuses``.
    """
    look = statuses.look_of(kind, status)
    return {"status": status, "tone": look.tone, "icon": look.icon, "label": look.label}


@register.inclusion_tag("components/status_bar.html")
def status_bar(
    counts: Mapping[str, int], kind: str = "item", *, legend: bool = True, large: bool = False
) -> dict[str, Any]:
    """Render a bar with a piece per status and a legend: ``{% status_bar mission.counts %}``."""
    total = sum(counts.values())
    pieces: list[dict[str, Any]] = []
    begin = 0.0
    for status in statuses.bar_order(kind):
        if count := counts.get(status, 0):
            width = 1000 * count / total
            # At least 4 of 1000 units, so that one failure among thousands is visible.
            piece = {"status": status, "label": statuses.look_of(kind, status).label, "count": count}
            pieces.append(piece | {"x": f"{begin:.2f}", "width": f"{max(width, 4):.2f}"})
            begin += width
    return {"pieces": pieces, "total": total, "legend": legend, "large": large}


@register.inclusion_tag("components/progress.html")
def progress(value: float, *, of: float = 100, label: str = "") -> dict[str, Any]:
    """Render one progress bar: ``{% progress 40 of=240 label=_("Uploading") %}``."""
    return {"value": value, "of": of, "label": label}


@register.inclusion_tag("components/bar_chart.html")
def bar_chart(bars: Sequence[Mapping[str, Any]], *, label: str, start: str = "", end: str = "") -> dict[str, Any]:
    """Render a chart of stacked bars; the highest fills the height.

    A bar has a ``text`` (its tooltip) and ``parts``, pairs of a status (for the colour) and a
    number.  ``start`` and ``end`` are the labels below the first and the last bar.
    """
    highest = max((sum(number for _status, number in bar["parts"]) for bar in bars), default=0)
    width = 1000 / max(len(bars), 1)
    drawn = []
    for place, bar in enumerate(bars):
        top = 100.0
        pieces = []
        for status, number in bar["parts"]:
            if number:
                height = max(100 * number / highest, 1)
                top -= height
                pieces.append({"status": status, "y": f"{top:.2f}", "height": f"{height:.2f}"})
        drawn.append({"text": bar["text"], "x": f"{place * width + width * 0.1:.2f}", "pieces": pieces})
    return {
        "bars": drawn,
        "width": f"{width * 0.8:.2f}",
        "highest": highest,
        "label": label,
        "start": start,
        "end": end,
    }


@register.inclusion_tag("components/skeleton.html")
def skeleton(lines: int = 3, *, pictures: int = 0) -> dict[str, Any]:
    """Render placeholders while lines of text or pictures are loading."""
    return {"lines": range(lines), "pictures": range(pictures)}


@register.inclusion_tag("components/thumbnail.html")
def thumbnail(src: str, *, alt: str, href: str = "", mark: str = "", mark_icon: str = "") -> dict[str, Any]:
    """Render an ``<li>`` of ``<ul class="thumbnails">``.

    ``mark`` is a text in its corner, such as a duration.
    """
    return {"src": src, "alt": alt, "href": href, "mark": mark, "mark_icon": mark_icon}


@register.inclusion_tag("components/copy_button.html")
def copy_button(text: str, *, label: str = "") -> dict[str, Any]:
    """Render a button that copies ``text``; hidden without JavaScript."""
    return {"text": text, "label": label}


# --- Forms ---


@register.inclusion_tag("components/field.html")
def field(bound: BoundField, *, help: str = "", optional: bool = False) -> dict[str, Any]:  # noqa: A002  as in templates
    """Render label, control, help and errors of a field: ``{% field form.name %}``."""
    is_check = isinstance(bound.field.widget, CheckboxInput)
    return {"field": bound, "help": help or bound.help_text, "optional": optional, "is_check": is_check}


@register.inclusion_tag("components/form_errors.html")
def form_errors(form: Any) -> dict[str, Any]:
    """Render the errors of a form as a whole; fields render their own."""
    return {"errors": form.non_field_errors()}


# --- Parts of a page ---


@register.simple_block_tag
def page_header(content: str, title: str, *, text: str = "", back_url: str = "", back_text: str = "") -> SafeString:
    """Render the page's ``<h1>``.  The content is its buttons."""
    context = {"title": title, "text": text, "back_url": back_url, "back_text": back_text}
    return _component("page_header", content, context)


@register.simple_block_tag
def card(content: str, *, title: str = "", text: str = "", id: str = "") -> SafeString:  # noqa: A002  as in templates
    """Render a ``<section>`` with a border.  Its title is an ``<h2>``."""
    return _component("card", content, {"title": title, "text": text, "id": id})


@register.simple_block_tag
def empty_state(content: str, title: str, *, text: str = "", icon: str = "missions") -> SafeString:
    """Render the placeholder of an empty list.  The content is the button that fills it."""
    return _component("empty_state", content, {"title": title, "text": text, "icon": icon})


@register.simple_block_tag
def notice(content: str, kind: str = "info", *, title: str = "") -> SafeString:
    """Render a notice within a page.  ``kind``: info, success, warning, error, neutral."""
    tone, name = TONES[kind]
    return _component("notice", content, {"tone": tone, "icon": name, "title": title, "kind": kind})


@register.simple_block_tag
def dialog(content: str, id: str, title: str, *, wide: bool = False) -> SafeString:  # noqa: A002  as in templates
    """Render a ``<dialog>``; a button or link with ``data-dialog="ID"`` opens it.

    Its buttons go into ``<div class="dialog-actions">``; one with ``data-closes`` closes it.  The
    opener should be a link to a page with the same question, for browsers without JavaScript.
    """
    return _component("dialog", content, {"id": id, "title": title, "wide": wide})


@register.simple_block_tag
def menu(content: str, label: str, *, icon: str = "more", text: str = "", ghost: bool = True) -> SafeString:
    """Render a menu of links and POST buttons; works without JavaScript.

    ``text`` is shown beside the icon.
    """
    return _component("menu", content, {"label": label, "icon": icon, "text": text, "ghost": ghost})


@register.inclusion_tag("components/tabs.html")
def tabs(entries: Iterable[Mapping[str, Any]], *, label: str) -> dict[str, Any]:
    """Render tabs.  An entry has ``url``, ``text``, ``is_current`` and perhaps ``count``."""
    return {"entries": entries, "label": label}


@register.inclusion_tag("components/pagination.html", takes_context=True)
def pagination(context: Mapping[str, Any], page: Page[Any], *, name: str = "page") -> dict[str, Any]:
    """Render the pages of a list.  ``name`` is the query parameter; the rest of the query stays."""
    return {"page": page, "name": name, "request": context["request"]}


@register.simple_tag
def actions_of(place: str, row_id: int) -> list[Link]:
    """Return the actions that apps added: ``{% actions_of "mission" mission.pk as added %}``."""
    return actions.shown(place, row_id)


@register.simple_tag
def page_query(request: HttpRequest, name: str, page: int) -> str:
    """Return the query of the current URL with another page."""
    query = request.GET.copy()
    query[name] = str(page)
    return query.urlencode()


def _component(name: str, content: str, parameters: dict[str, Any]) -> SafeString:
    return render_to_string(f"components/{name}.html", {**parameters, "content": content})


# --- Formats ---


@register.filter
def number(value: float | None) -> str:
    """Format a number as ``12,345``, the same in both languages."""
    return "" if value is None else f"{value:,}"


@register.filter
def money(amount: Decimal | float | None, currency: str = "CNY") -> str:
    """Format money as ``¥12.00``, with two to six decimals.

    None is ``—``. Nothing in no currency, which is the price of a free model, is "free".
    """
    if amount is None:
        return "—"
    if not currency and not amount:
        return _("free")
    return money_text(Decimal(str(amount)), currency)


@register.filter
def duration(seconds: float | timedelta | None) -> str:
    """Format seconds with at most two units:

    ``4.2 s``, ``3 min 20 s``, ``3 d 4 h``.  None is ``—``.
    """
    if seconds is None:
        return "—"
    exact = seconds.total_seconds() if isinstance(seconds, timedelta) else float(seconds)
    if exact < 10:
        return _("%(n)s s") % {"n": f"{exact:.1f}".removesuffix(".0")}
    whole = round(exact)
    days, hours, minutes = whole // 86400, whole // 3600 % 24, whole // 60 % 60
    if days:
        return _("%(days)d d %(hours)d h") % {"days": days, "hours": hours}
    if hours:
        return _("%(hours)d h %(minutes)d min") % {"hours": hours, "minutes": minutes}
    if minutes:
        return _("%(minutes)d min %(seconds)d s") % {"minutes": minutes, "seconds": whole % 60}
    return _("%(n)s s") % {"n": whole}


@register.simple_tag
def clock_formats() -> str:
    """Return the patterns of ``duration`` for scripts: seconds, minutes, hours, days."""
    patterns = (
        _("%(n)s s"),
        _("%(minutes)d min %(seconds)d s"),
        _("%(hours)d h %(minutes)d min"),
        _("%(days)d d %(hours)d h"),
    )
    return "|".join(patterns)


@register.filter
def ago(moment: datetime | None) -> SafeString | str:
    """Render a ``<time>`` such as "3 minutes ago", with the exact time as its tooltip."""
    if moment is None:
        return "—"
    return format_html(
        '<time datetime="{}" title="{}">{}</time>', _utc(moment), _local(moment, "DATETIME_FORMAT"), _distance(moment)
    )


@register.filter
def moment(value: datetime | None) -> SafeString | str:
    """Render a ``<time>`` with date and time in the person's time zone."""
    if value is None:
        return "—"
    return format_html('<time datetime="{}">{}</time>', _utc(value), _local(value, "DATETIME_FORMAT"))


def _utc(value: datetime) -> str:
    return value.astimezone(UTC).isoformat(timespec="seconds")


def _local(value: datetime, form: str) -> str:
    return formats.date_format(timezone.localtime(value), form)


def _distance(moment: datetime) -> str:
    seconds = (timezone.now() - moment).total_seconds()
    if seconds < -60:
        return _local(moment, "SHORT_DATETIME_FORMAT")
    if seconds < 60:
        return _("just now")
    for unit_seconds, limit, words in _UNITS:
        if seconds < limit:
            return words(int(seconds // unit_seconds))
    return _local(moment, "DATE_FORMAT")


_UNITS: tuple[tuple[int, int, Callable[[int], str]], ...] = (
    (60, 3600, lambda n: ngettext("%(n)d minute ago", "%(n)d minutes ago", n) % {"n": n}),
    (3600, 86400, lambda n: ngettext("%(n)d hour ago", "%(n)d hours ago", n) % {"n": n}),
    (86400, 7 * 86400, lambda n: ngettext("%(n)d day ago", "%(n)d days ago", n) % {"n": n}),
)


@register.filter
def tone_of(kind: str) -> str:
    """Return the tone of a kind of notice or a level of Django's messages."""
    return TONES.get(kind, TONES["neutral"])[0]


@register.filter
def icon_of(kind: str) -> str:
    """Return the icon of a kind of notice or a level of Django's messages."""
    return TONES.get(kind, TONES["neutral"])[1]
