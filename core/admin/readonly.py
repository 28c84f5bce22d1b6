"""Read-only admin pages: nothing is edited, and no list counts or sorts a long table."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import Any, TypeVar

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet, TextChoices
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.html import format_html
from django.utils.safestring import SafeString

from core.admin import export
from core.money import amount_text

MAX_COUNT = 10_000
LATEST = 50
TEXT_SHOWN = 140
Event = TypeVar("Event")


class ShortCount(Paginator):  # type: ignore[type-arg]
    """A paginator that counts at most MAX_COUNT rows, so that long tables cost no more."""

    @cached_property
    def _count(self) -> int:
        rows: Any = self.object_list
        return int(rows.order_by()[: MAX_COUNT + 1].count())

    @cached_property
    def count(self) -> int:
        return min(self._count, MAX_COUNT)

    @property
    def is_cut(self) -> bool:
        """True if there are more rows than were counted."""
        return self._count > MAX_COUNT


class ListAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """A list that names the time zone of its times and can be downloaded as CSV."""

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        if export.is_requested(request) and self.has_view_or_change_permission(request):
            return export.as_csv(self, request)
        query = request.GET.copy()
        query[export.PARAMETER] = "csv"
        now = timezone.localtime()
        zone = f"{timezone.get_current_timezone_name()} (UTC{now:%z})"
        context = {"csv_url": f"?{query.urlencode()}", "time_zone": zone} | (extra_context or {})
        return super().changelist_view(request, context)


class ReadOnlyAdmin(ListAdmin):
    """Rows that are shown, not edited.

    Users with the "change" permission may use actions on them, which ask for the permission "act".
    """

    operator_actions: Sequence[Any] = ()  # AdminActions, which run_step finds here by name
    empty_value_display = "—"
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    paginator = ShortCount
    list_per_page = LATEST
    list_max_show_all = LATEST

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_act_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm(f"{self.opts.app_label}.change_{self.opts.model_name}"))

    def has_remove_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm(f"{self.opts.app_label}.delete_{self.opts.model_name}"))


class PageAdmin(ReadOnlyAdmin):
    """Rows with a page of our own instead of Django's form.  ``page`` is its template."""

    page = ""

    def page_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """Return the page's own context, beside that of ``frame_of``."""
        return {}

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        row = self.get_object(request, unquote(object_id))
        if request.method not in ("GET", "HEAD") or not self.has_view_permission(request, row):
            raise PermissionDenied
        if row is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)  # type: ignore[attr-defined, no-any-return]
        return TemplateResponse(request, self.page, self.frame_of(request, row) | self.page_context(request, row))

    def frame_of(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """Return the context that every page about one row needs."""
        return {
            **self.admin_site.each_context(request),
            "title": str(row),
            "opts": self.opts,
            "row": row,
            "may_act": self.has_act_permission(request),
        }


class DetailAdmin(PageAdmin):
    """Rows whose page lists their attributes.

    ``facts`` are pairs of an attribute and its label.
    """

    page = "admin/detail.html"
    facts: Sequence[tuple[str, Promise]] = ()

    def page_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        facts: list[tuple[Promise, str, Any]] = []
        for name, label in self.facts:
            value = getattr(row, name)
            value = value() if callable(value) else value
            if isinstance(value, datetime):
                facts.append((label, "time", value))
            elif isinstance(value, Decimal):
                facts.append((label, "text", f"{amount_text(value)} {getattr(row, 'currency', '')}".strip()))
            elif isinstance(value, dict | list) and value:
                facts.append((label, "json", json.dumps(value, ensure_ascii=False, indent=2)))
            else:
                facts.append((label, "text", "" if value in (None, {}, []) else str(value)))
        return {"facts": facts}


def titled(kind: type[admin.FieldListFilter], title: Promise) -> type[admin.FieldListFilter]:
    """Return a filter by a field with a translated title."""

    class Filter(kind):  # type: ignore[misc, valid-type]
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self.title = title

    return Filter


def choices(name: str, title: Promise, words: type[TextChoices]) -> type[admin.SimpleListFilter]:
    """Return a list filter by the values of a choice field, with a translated title."""

    class Filter(admin.SimpleListFilter):
        parameter_name = name

        def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, Any]]:
            return words.choices

        def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
            return queryset.filter(**{name: self.value()}) if self.value() in words.values else queryset

    Filter.title = title  # type: ignore[assignment]
    return Filter


# --- Cells ---


def column(name: str, title: Promise, *, is_sortable: bool = False) -> Callable[[Any], Any]:
    """Return an attribute as a column with a translated title."""

    def cell(row: Any) -> Any:
        return getattr(row, name)

    cell.__name__ = name
    return admin.display(cell, description=title, ordering=name if is_sortable else None)  # type: ignore[call-overload, no-any-return]


def badge(status: str, kind: str) -> SafeString:
    return render_to_string("admin/cells/badge.html", {"status": status, "kind": kind})


def bar(counts: dict[str, int]) -> SafeString:
    return render_to_string("admin/cells/bar.html", {"counts": counts})


def money(amount: Decimal | None, currency: str) -> SafeString:
    return render_to_string("admin/cells/money.html", {"amount": amount, "currency": currency})


def long_text(text: str) -> SafeString:
    """Return a text cut to TEXT_SHOWN characters."""
    shown = text if len(text) <= TEXT_SHOWN else text[:TEXT_SHOWN].rstrip() + "…"
    return format_html('<span class="admin-text">{}</span>', shown) if shown else SafeString("")


def picture(address: str) -> SafeString:
    return format_html('<img class="admin-picture" src="{}" alt="" loading="lazy" decoding="async">', address)


def with_actors(events: Iterable[Event]) -> list[tuple[Event, str]]:
    """Return events and the names of their actors ("user:7"), in one query."""
    rows = [(event, str(getattr(event, "actor"))) for event in events]  # noqa: B009  Event has no type
    ids = {int(actor[5:]) for _event, actor in rows if actor.startswith("user:") and actor[5:].isdecimal()}
    names = {f"user:{pk}": user.get_username() for pk, user in User.objects.in_bulk(ids).items()} if ids else {}
    return [(event, names.get(actor, actor)) for event, actor in rows]
