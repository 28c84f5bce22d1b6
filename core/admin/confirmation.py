"""Actions of operators on rows: confirmed with their cost, done by a service, and logged.

This is Django's own action mechanism with a page in between, which shows for each row what will
happen and how much money it concerns.  Nothing happens before the confirmation, and no more money
is spent than the page showed.  Each row that is refused is reported.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import ObjectDoesNotExist
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from core.admin import bulk
from core.admin.actions import AdminAction, log
from core.admin.readonly import LATEST, ReadOnlyAdmin
from core.errors import DomainError
from core.http.redirects import safe_next

MAX_ROWS = LATEST  # one page of a list: what a person can read before confirming
MAX_REFUSALS_SHOWN = 20


def as_admin_action(
    action: AdminAction,
) -> Callable[[ReadOnlyAdmin, HttpRequest, QuerySet[Any]], HttpResponse | None]:
    """Return the function that Django's admin lists as an action."""

    def run(model_admin: ReadOnlyAdmin, request: HttpRequest, rows: QuerySet[Any]) -> HttpResponse | None:
        return perform(action, model_admin, request, rows)

    run.__name__ = action.name
    return admin.action(run, description=action.title, permissions=[action.permission])  # type: ignore[call-overload, no-any-return]


def perform(
    action: AdminAction, model_admin: ReadOnlyAdmin, request: HttpRequest, selected: QuerySet[Any]
) -> HttpResponse | None:
    """Show the confirmation, or do what was confirmed.  None means back to the list."""
    if "bulk" in request.POST:
        return bulk.start(action, request)
    rows = list(selected[: MAX_ROWS + 1])
    if len(rows) > MAX_ROWS:
        return bulk.confirm(action, model_admin, request, selected)
    if "confirmed" not in request.POST:
        return _confirmation(action, model_admin, request, rows)
    done = _perform_confirmed(action, model_admin, request, rows)
    if done:
        message = ngettext("%(action)s: done for %(count)d", "%(action)s: done for %(count)d", done)
        messages.success(request, message % {"count": done, "action": action.title})
    next_url = safe_next(request, "")
    return redirect(next_url) if next_url and action.permission != "remove" else None  # the page is gone


def _confirmation(
    action: AdminAction, model_admin: ReadOnlyAdmin, request: HttpRequest, rows: Sequence[Any]
) -> HttpResponse:
    previews = [(row, action.currency_of(row), action.preview(row, request.POST)) for row in rows]
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for _row, currency, preview in previews:
        if preview.money is not None:
            sums[currency] += preview.money
    context = {
        **model_admin.admin_site.each_context(request),
        "title": action.question,
        "opts": model_admin.opts,
        "action": action,
        "previews": previews,
        "sums": dict(sums),
        "has_unknown_prices": any(preview.money is None for _row, _currency, preview in previews),
        "status_kind": action.status_kind,
        "next": safe_next(request, request.get_full_path()),
        "form_url": request.get_full_path(),
        "hidden_fields": [(name, request.POST[name]) for name in ("error_code", "has_code") if name in request.POST],
    }
    return TemplateResponse(request, "admin/confirm_action.html", context)


def _perform_confirmed(
    action: AdminAction, model_admin: ReadOnlyAdmin, request: HttpRequest, rows: Sequence[Any]
) -> int:
    """Return the number of rows done.

    Each is done and logged on its own: a refusal does not stop the next ones.
    """
    refusals: list[str] = []
    for row in rows:
        try:
            action.do(row, f"user:{request.user.pk}", request.POST)
        except DomainError as refusal:
            refusals.append(f"{row}: {refusal}")
        except ObjectDoesNotExist:
            refusals.append(f"{row}: {_('It was deleted meanwhile.')}")
        else:
            log(model_admin, request, row, action.record)
    for refusal_text in refusals[:MAX_REFUSALS_SHOWN]:
        messages.warning(request, refusal_text)
    if (more := len(refusals) - MAX_REFUSALS_SHOWN) > 0:
        messages.warning(request, ngettext("%d more was refused.", "%d more were refused.", more) % more)
    return len(rows) - len(refusals)
