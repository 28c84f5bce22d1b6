"""How rows are looked at: nothing is typed in, and no list counts or sorts a long table."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from types import NoneType
from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet, TextChoices
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.html import format_html
from django.utils.safestring import SafeString

from core.translated_reasons import in_readers_language
from missions.models import Attempt, ItemEvent, Mission
from providers.models import ProviderAccount

MOST_COUNTED = 10_000
LATEST = 50
TEXT_SHOWN = 140
_PLACE = re.compile(r"([0-9]{1,18})#([0-9]{1,9})")


class ShortCount(Paginator):  # type: ignore[type-arg]
    """Counts no further than a person turns pages, so that a list costs the same however long its table is."""

    @cached_property
    def _counted(self) -> int:
        rows: Any = self.object_list
        return int(rows.order_by()[: MOST_COUNTED + 1].count())

    @cached_property
    def count(self) -> int:
        return min(self._counted, MOST_COUNTED)

    @property
    def is_cut(self) -> bool:
        """Whether there is more than was counted."""
        return self._counted > MOST_COUNTED


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Rows that are looked at.

    Whoever may change them may act on them, which is something else than typing values in: actions ask for "act".
    """

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


class PageAdmin(ReadOnlyAdmin):
    """Rows that have a page of ours instead of Django's form: ``page`` is its template."""

    page = ""

    def page_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """What the page shows, beside ``row`` itself and what every page of the administration has."""
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
        return {
            **self.admin_site.each_context(request),
            "title": str(row),
            "opts": self.opts,
            "row": row,
            "may_act": self.has_act_permission(request),
        }


class DetailAdmin(PageAdmin):
    """Rows whose page is a list of what they say: ``facts`` are attributes and what they are called."""

    page = "admin/missions/row.html"
    facts: Sequence[tuple[str, Promise]] = ()

    def page_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        return {"facts": [(title, *_fact(row, name)) for name, title in self.facts]}


def _fact(row: Any, name: str) -> tuple[str, Any]:
    """How an attribute is shown, and what it is."""
    value = getattr(row, name)
    value = value() if callable(value) else value
    kinds = {datetime: "moment", dict: "json", list: "json", NoneType: "nothing"}
    return kinds.get(type(value), "text"), str(value) if type(value) not in kinds else value


def choices(name: str, title: Promise, words: type[TextChoices]) -> type[admin.SimpleListFilter]:
    """A filter by one of a few words, under a name that is translated."""

    class Filter(admin.SimpleListFilter):
        parameter_name = name

        def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, Any]]:
            return words.choices

        def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
            return queryset.filter(**{name: self.value()}) if self.value() in words.values else queryset

    Filter.title = title  # type: ignore[assignment]
    return Filter


def attempts_with_task(task_id: str) -> QuerySet[Attempt]:
    """By the index of the accounts' tasks, which leaves out attempts without one: SQLite takes it only where that is said."""
    accounts = ProviderAccount.objects.values("pk")
    return Attempt.objects.filter(account__in=accounts, remote_task_id=task_id).exclude(remote_task_id="")


def place_in(word: str) -> tuple[int, int] | None:
    """The mission's and the item's number in what people call ``12#5``; None when it is no such name."""
    place = _PLACE.fullmatch(word.strip())
    return (int(place[1]), int(place[2])) if place else None


# --- Cells ---


def mission_link(mission: Mission) -> SafeString:
    address = reverse("admin:missions_mission_change", args=[mission.pk])
    return format_html('<a class="admin-name" href="{}">{}</a>', address, mission.name)


def column(name: str, title: Promise, *, is_sortable: bool = False) -> Callable[[Any], Any]:
    """An attribute as a column, under a name that is translated."""

    def cell(row: Any) -> Any:
        return getattr(row, name)

    cell.__name__ = name
    return admin.display(cell, description=title, ordering=name if is_sortable else None)  # type: ignore[call-overload, no-any-return]


def badge(status: str, kind: str) -> SafeString:
    return render_to_string("admin/missions/badge.html", {"status": status, "kind": kind})


def bar(counts: dict[str, int]) -> SafeString:
    return render_to_string("admin/missions/bar.html", {"counts": counts})


def money(amount: Decimal | None, currency: str) -> SafeString:
    return render_to_string("admin/missions/money.html", {"amount": amount, "currency": currency})


def told(text: str) -> SafeString:
    """What a row says, in the reader's language, cut where a list has no room."""
    words = in_readers_language(text)
    shown = words if len(words) <= TEXT_SHOWN else words[:TEXT_SHOWN].rstrip() + "…"
    return format_html('<span class="admin-text">{}</span>', shown) if shown else SafeString("")


def picture(address: str) -> SafeString:
    return format_html('<img class="admin-picture" src="{}" alt="" loading="lazy" decoding="async">', address)


def with_actors(events: Iterable[ItemEvent]) -> list[tuple[ItemEvent, str]]:
    """Events with the names of those who caused them, in one statement."""
    listed = list(events)
    ids = {int(event.actor[5:]) for event in listed if event.actor.startswith("user:") and event.actor[5:].isdecimal()}
    names = {f"user:{pk}": user.get_username() for pk, user in User.objects.in_bulk(ids).items()} if ids else {}
    return [(event, names.get(event.actor, event.actor)) for event in listed]
