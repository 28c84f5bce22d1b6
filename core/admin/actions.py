"""Actions of operators on rows: chosen in a list, confirmed once with their cost, done by a service, logged.

Django's own action mechanism, with a page in between that shows for each row what will happen and how
much money is at stake.  Nothing is done before it is confirmed, and no more money is spent than was
shown.  Each row that refuses is reported.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.functional import Promise
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from core.admin.readonly import LATEST, ReadOnlyAdmin
from core.errors import DomainError
from missions.models import Mission, MissionItem
from missions.web.access import actor

MOST_AT_ONCE = LATEST  # one page of a list: what a person can see before agreeing
MOST_REFUSALS_TOLD = 20

Row = Mission | MissionItem


@dataclass(frozen=True, slots=True)
class ActionPreview:
    """What a verb would do to a row: in sentences, how many items are concerned, and the money; None when no price is known."""

    sentences: Sequence[str]
    count: int
    money: Decimal | None
    is_refused: bool = False


@dataclass(frozen=True, slots=True)
class AdminAction:
    """Something that people do to rows.

    ``title`` names it in a list, ``question`` heads the page that asks, ``money`` says what its sum is.  ``do`` gets the row, who
    acts, and what the page sent; it raises DomainError.  ``record`` is what the log keeps: English, translated when it is shown.
    """

    name: str
    title: Promise
    question: Promise
    money: Promise
    record: str
    outlook: Callable[[Any, QueryDict], ActionPreview]
    do: Callable[[Any, str, QueryDict], object]
    is_dangerous: bool = False

    def as_action(self) -> Callable[[ReadOnlyAdmin, HttpRequest, QuerySet[Any]], HttpResponse | None]:
        def run(model_admin: ReadOnlyAdmin, request: HttpRequest, rows: QuerySet[Any]) -> HttpResponse | None:
            return perform(self, model_admin, request, rows)

        run.__name__ = self.name
        return admin.action(run, description=self.title, permissions=["act"])  # type: ignore[call-overload, no-any-return]


@dataclass(slots=True)
class Asked:
    """The page between choosing and doing.  ``sums`` by currency, of the prices that are known."""

    rows: list[tuple[Row, str, ActionPreview]] = field(default_factory=list)
    sums: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    has_unknown: bool = False

    def add(self, row: Row, currency: str, outlook: ActionPreview) -> None:
        self.rows.append((row, currency, outlook))
        if outlook.money is None:
            self.has_unknown = True
        else:
            self.sums[currency] += outlook.money


def perform(
    verb: AdminAction, model_admin: ReadOnlyAdmin, request: HttpRequest, chosen: QuerySet[Any]
) -> HttpResponse | None:
    """Ask, or do what was asked.  None leads back to the list."""
    rows = list(chosen[: MOST_AT_ONCE + 1])
    if len(rows) > MOST_AT_ONCE:
        messages.error(request, _("Nothing was done: choose at most %d at once.") % MOST_AT_ONCE)
        return None
    if "confirmed" not in request.POST:
        return _ask(verb, model_admin, request, rows)
    done = _do(verb, model_admin, request, rows)
    if done:
        told = ngettext("Done for %(count)d: %(what)s", "Done for %(count)d: %(what)s", done)
        messages.success(request, told % {"count": done, "what": verb.title})
    way_back = request.POST.get("next", "")
    return redirect(way_back) if is_ours(way_back) else None


def is_ours(address: str) -> bool:
    """Whether an address leads to a page of this site."""
    return address.startswith("/") and url_has_allowed_host_and_scheme(address, allowed_hosts=None)


def log(model_admin: ReadOnlyAdmin, request: HttpRequest, row: Row, record: str) -> None:
    """Keep who did what to a row, for its history."""
    model_admin.log_change(request, row, record)


def _ask(verb: AdminAction, model_admin: ReadOnlyAdmin, request: HttpRequest, rows: Sequence[Row]) -> HttpResponse:
    asked = Asked()
    for row in rows:
        mission = row if isinstance(row, Mission) else row.mission
        asked.add(row, mission.currency, verb.outlook(row, request.POST))
    way_back = request.POST.get("next", "")
    context = {
        **model_admin.admin_site.each_context(request),
        "title": verb.question,
        "opts": model_admin.opts,
        "verb": verb,
        "asked": asked,
        "sums": dict(asked.sums),
        "next": way_back if is_ours(way_back) else request.get_full_path(),
        "action": request.get_full_path(),
        "kept": [(name, request.POST[name]) for name in ("error_code", "has_code") if name in request.POST],
    }
    return TemplateResponse(request, "admin/missions/confirm.html", context)


def _do(verb: AdminAction, model_admin: ReadOnlyAdmin, request: HttpRequest, rows: Sequence[Row]) -> int:
    """Returns how many were done.  Each is done and logged on its own: what follows a refusal is done all the same."""
    refusals: list[str] = []
    for row in rows:
        try:
            verb.do(row, actor(request), request.POST)
        except DomainError as refusal:
            refusals.append(f"{row}: {refusal}")
        else:
            log(model_admin, request, row, verb.record)
    for told in refusals[:MOST_REFUSALS_TOLD]:
        messages.warning(request, told)
    if (more := len(refusals) - MOST_REFUSALS_TOLD) > 0:
        messages.warning(request, ngettext("%d more was refused.", "%d more were refused.", more) % more)
    return len(rows) - len(refusals)
