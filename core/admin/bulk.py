"""Actions of operators on more rows than a page shows: all that match a filter.

The confirmation stores which rows it priced; only these are acted on, each at most once. A first
part is done at once, so that a stop is one. The rest is done in steps by the workers, and the page
of the action shows how far it is.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.apps import apps
from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import User
from django.core.exceptions import ObjectDoesNotExist
from django.db import InterfaceError, OperationalError
from django.db.models import F, QuerySet
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from core.admin.actions import AdminAction
from core.admin.readonly import LATEST, MAX_COUNT, ReadOnlyAdmin
from core.errors import DomainError
from core.models import BulkAction

STEP = 25  # rows that one step claims: what a worker that dies in the middle leaves undone
INLINE_SECONDS = 3.0  # for which steps are done in the request, before the workers take over
STALLED_AFTER = timedelta(minutes=2)
KEPT_FOR = timedelta(days=7)
MAX_REFUSALS = 20

log = logging.getLogger(__name__)
_send: list[Callable[[int], None]] = []


def register_sender(send: Callable[[int], None]) -> None:
    """Set the function that lets a worker call ``run_step`` with the id of an action."""
    _send[:] = [send]


def confirm(
    action: AdminAction, model_admin: ReadOnlyAdmin, request: HttpRequest, selected: QuerySet[Any]
) -> HttpResponse | None:
    """Show what an action does to all selected rows, and store them for ``start``."""
    ids = list(selected.values_list("pk", flat=True)[: MAX_COUNT + 1])
    if len(ids) > MAX_COUNT:
        limit = f"{MAX_COUNT:,}"
        messages.error(request, _("Nothing was done: more than %s rows match. Filter the list first.") % limit)
        return None
    sums: dict[str, Decimal] = defaultdict(Decimal)
    counts: dict[int, int] = {}
    shown: list[tuple[Any, str, Any]] = []
    refused_count = unknown_count = 0
    for start in range(0, len(ids), MAX_COUNT // 20):
        for row in _rows(model_admin, ids[start : start + MAX_COUNT // 20]):
            preview, currency = action.preview(row, request.POST), action.currency_of(row)
            if len(shown) < LATEST:
                shown.append((row, currency, preview))
            if preview.is_refused:
                refused_count += 1
                continue
            counts[row.pk] = preview.count
            if preview.money is None:
                unknown_count += 1
            else:
                sums[currency] += preview.money
    form = {name: request.POST[name] for name in ("error_code", "has_code") if name in request.POST}
    bulk = BulkAction.objects.create(
        model=model_admin.opts.label_lower,
        action=action.name,
        actor_id=_person_id(request),
        ids=list(counts),
        form=form | {f"most-{pk}": str(count) for pk, count in counts.items()},
    )
    context = {
        **model_admin.admin_site.each_context(request),
        "title": action.question,
        "opts": model_admin.opts,
        "action": action,
        "previews": shown,
        "sums": dict(sums),
        "has_unknown_prices": bool(unknown_count),
        "status_kind": action.status_kind,
        "next": request.get_full_path(),
        "form_url": request.get_full_path(),
        "hidden_fields": [("bulk", bulk.pk), ("select_across", "1"), ("index", "0"), ("_selected_action", ids[0])],
        "bulk": bulk,
        "bulk_count": len(counts),
        "refused_count": refused_count,
        "more_count": len(ids) - len(shown),
    }
    return TemplateResponse(request, "admin/confirm_action.html", context)


def start(action: AdminAction, request: HttpRequest) -> HttpResponse | None:
    """Do what was confirmed: a first part now, the rest by the workers."""
    number = request.POST.get("bulk", "")
    mine = BulkAction.objects.filter(actor_id=_person_id(request), action=action.name, confirmed_at=None)
    now = timezone.now()
    if not number.isdecimal() or not mine.filter(pk=int(number)).update(confirmed_at=now, worked_at=now):
        messages.error(request, _("Nothing was done: this was confirmed before. Choose the rows again."))
        return None
    bulk_id, deadline = int(number), time.monotonic() + INLINE_SECONDS
    while (is_unfinished := run_step(bulk_id)) and time.monotonic() < deadline:
        pass
    if is_unfinished:
        _send[0](bulk_id)
    bulk = BulkAction.objects.get(pk=bulk_id)
    text = ngettext("%(action)s: done for %(count)d", "%(action)s: done for %(count)d", bulk.done_count)
    text = text % {"action": action.title, "count": bulk.done_count}
    if is_unfinished:
        text += " " + _("The rest follows in the background; this page shows how far it is.")
    messages.success(request, text)
    return redirect(reverse("admin:core_bulkaction_change", args=[bulk_id]))


def run_step(bulk_id: int) -> bool:
    """Act on the next rows of a confirmed action. Return True if more are left.

    The rows are claimed before anything is done, so a step that is repeated, or two at once, never
    act on a row twice: a retry costs money. Rows of a step whose worker died stay undone. While the
    database is busy, the rows that were not tried are given back to a later step.
    """
    bulk = BulkAction.objects.get(pk=bulk_id)
    if bulk.confirmed_at is None or bulk.finished_at is not None:
        return False
    end = min(bulk.position + STEP, len(bulk.ids))
    unclaimed = BulkAction.objects.filter(pk=bulk_id, position=bulk.position, finished_at=None)
    if not unclaimed.update(position=end, worked_at=timezone.now()):
        return False  # another worker goes on
    model_admin = admin.site._registry[apps.get_model(bulk.model)]
    assert isinstance(model_admin, ReadOnlyAdmin)
    action = next(each for each in model_admin.operator_actions if each.name == bulk.action)
    form = QueryDict(mutable=True)
    form.update(bulk.form)
    refusals, done_count = [], 0
    is_allowed = _may_act(bulk.actor_id, action, model_admin)
    claimed = bulk.ids[bulk.position : end]
    rows = {row.pk: row for row in _rows(model_admin, claimed)} if is_allowed else {}
    for position, row_id in enumerate(claimed, start=bulk.position + 1):
        if (row := rows.get(row_id)) is None:
            continue
        try:
            action.do(row, f"user:{bulk.actor_id}", form)
            LogEntry.objects.log_actions(bulk.actor_id, [row], CHANGE, action.record.code, single_object=True)
        except ObjectDoesNotExist:  # deleted a moment ago
            continue
        except DomainError as refusal:
            refusals.append(f"{row}: {refusal}")
        except (OperationalError, InterfaceError) as error:
            log.warning("An action on many rows waits for the database: %s", error)
            refusals.append(_("%s: the database did not answer. Look at it, then choose it again.") % row)
            if BulkAction.objects.filter(pk=bulk_id, position=end).update(position=position):
                end = position
            break
        else:
            done_count += 1
    is_last = end == len(bulk.ids) or not is_allowed
    changes: dict[str, Any] = {"finished_at": timezone.now()} if is_last else {}
    if refusals and len(bulk.refusals) < MAX_REFUSALS:
        changes["refusals"] = [*bulk.refusals, *refusals][:MAX_REFUSALS]
    BulkAction.objects.filter(pk=bulk_id).update(
        done_count=F("done_count") + done_count,
        refused_count=F("refused_count") + len(refusals),
        worked_at=timezone.now(),
        **changes,
    )
    return not is_last


def run_in_worker(bulk_id: int) -> None:
    """Do one step, and let the next follow."""
    if run_step(bulk_id):
        _send[0](bulk_id)


def resend_stalled(now: datetime) -> None:
    """Let the workers go on with actions whose step was lost, and forget old ones."""
    stalled = BulkAction.objects.filter(finished_at=None, confirmed_at__isnull=False)
    for bulk_id in stalled.filter(worked_at__lt=now - STALLED_AFTER).values_list("pk", flat=True):
        _send[0](bulk_id)
    BulkAction.objects.filter(created_at__lt=now - KEPT_FOR).delete()


def _person_id(request: HttpRequest) -> int:
    assert request.user.pk is not None  # the admin is for people who have signed in
    return request.user.pk


def _may_act(person_id: int, action: AdminAction, model_admin: ReadOnlyAdmin) -> bool:
    """Return True if the person is still active and still has the action's permission."""
    request = HttpRequest()
    person = User.objects.filter(pk=person_id, is_active=True, is_staff=True).first()
    if person is None:
        return False
    request.user = person
    return bool(getattr(model_admin, f"has_{action.permission}_permission")(request))


def _rows(model_admin: ReadOnlyAdmin, ids: list[int]) -> list[Any]:
    related = model_admin.list_select_related
    rows = model_admin.model._default_manager.filter(pk__in=ids).order_by("pk")
    return list(rows.select_related(*related) if isinstance(related, list | tuple) and related else rows)
