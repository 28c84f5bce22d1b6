"""``/missions/ID/failures/mend``: correct the prompts of failed items in one sitting.

The items of one cause stand in a table, and words can be replaced in all of them. Saving stores the
prompts and sends nothing; only a button that names the price does.
"""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods

from accounts.rights import Action
from batch_input.columns import prompt_field
from core.errors import DomainError, NotPossible
from core.templatetags.ui import money
from mission_pages.access import actor, visible_mission
from mission_pages.forms import ReplaceForm
from mission_pages.item_presenter import present_items
from mission_pages.mission import head_context
from missions import event_source, failures, services
from missions.models import ItemStatus, Mission, MissionItem, MissionStatus
from missions.services import MissionInvalid, Replacement
from providers import catalog

ROWS = 50
SHOWN_REPLACEMENTS = 20
FIELD = "prompt-"


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def mend(request: HttpRequest, mission_id: int) -> HttpResponse:
    """Show the failed items of a cause; save their prompts, replace words in them, retry them."""
    mission = visible_mission(request, mission_id, Action.CHANGE)
    error_code = request.POST.get("error_code", request.GET.get("error_code", ""))[:64]
    prompt = prompt_field(catalog.model_of(mission))
    if prompt is None or mission.status == MissionStatus.CANCELLED:
        messages.error(request, _("These items have no prompts that could be changed here."))
        return redirect("missions:failures", mission_id)
    action = request.POST.get("action", "") if request.method == "POST" else ""
    if action in ("save", "retry_saved"):
        return _save(request, mission, error_code, prompt.name, is_retried=action == "retry_saved")
    form = ReplaceForm(request.POST if action else None)
    found: list[Replacement] = []
    if action and form.is_valid():
        found = services.replacements(mission, prompt=prompt.name, error_code=error_code, **form.words)
        if action in ("replace", "replace_and_retry"):
            is_retried = action == "replace_and_retry"
            return _replace(request, mission, error_code, prompt.name, found, is_retried=is_retried)
        if not found:
            form.add_error("find", _("No prompt of these items contains this."))
    context = _context(mission, error_code, _start(request))
    price = failures.estimate(mission, len(found))
    shown = found[:SHOWN_REPLACEMENTS]
    context |= {"form": form, "found": found, "shown": shown, "further": len(found) - len(shown), "found_price": price}
    return render(request, "mission_pages/mend.html", context, status=422 if action and not found else 200)


def _save(request: HttpRequest, mission: Mission, error_code: str, prompt: str, *, is_retried: bool) -> HttpResponse:
    """Store the prompts of the form; retry these items if ``is_retried``. A script gets JSON."""
    rows = {
        int(name.removeprefix(FIELD)): {prompt: str(text).replace("\r\n", "\n")}
        for name, text in request.POST.items()
        if name.startswith(FIELD) and name.removeprefix(FIELD).isdecimal() and len(name) < len(FIELD) + 10
    }
    saved: list[int] = []
    kind = "success"
    try:
        saved = services.edit_failed(mission_id=mission.pk, params=rows, actor=actor(request))
        text = ngettext("%(count)d prompt saved.", "%(count)d prompts saved.", len(saved)) % {"count": len(saved)}
        text = f"{text} {_('Nothing is sent until you retry.')}"
        if is_retried:
            text = _retry(request, mission, sorted(rows))
    except MissionInvalid as invalid:
        kind = "error"
        text = " ".join(f"{_number(error.field)}: {error.message}" for error in invalid.errors[:5])
    except NotPossible as refusal:
        kind, text = "error", str(refusal)
    if request.headers.get("Accept") == "application/json":
        mission.refresh_from_db()
        edited = _edited_count(mission, error_code)
        label = _retry_label(mission, edited)
        return JsonResponse({"kind": kind, "text": text, "saved": saved, "edited": edited, "label": label})
    messages.add_message(request, getattr(messages, kind.upper()), text)
    return redirect(_url(mission, error_code, _start(request)))


def _replace(
    request: HttpRequest,
    mission: Mission,
    error_code: str,
    prompt: str,
    found: list[Replacement],
    *,
    is_retried: bool,
) -> HttpResponse:
    """Store the replaced prompts that the person has seen the number of, and perhaps retry them."""
    kind = "success"
    try:
        if request.POST.get("count") != str(len(found)):
            raise NotPossible(_("Other items have failed meanwhile. Look at the changes again."))
        rows = {row.index: {prompt: row.after} for row in found}
        saved = services.edit_failed(mission_id=mission.pk, params=rows, actor=actor(request))
        text = ngettext("%(count)d prompt changed.", "%(count)d prompts changed.", len(saved)) % {"count": len(saved)}
        text = _retry(request, mission, saved) if is_retried else f"{text} {_('Nothing is sent until you retry.')}"
    except DomainError as refusal:
        kind = "error"
        text = refusal.message or " ".join(f"{_number(each.field)}: {each.message}" for each in refusal.errors[:5])
    messages.add_message(request, getattr(messages, kind.upper()), text)
    return redirect(_url(mission, error_code))


def _retry(request: HttpRequest, mission: Mission, indexes: list[int]) -> str:
    """Retry failed items and return what was done."""
    retried = services.retry_failed(mission_id=mission.pk, actor=actor(request), indexes=indexes, at_most=len(indexes))
    text = ngettext("%(count)d item resubmitted.", "%(count)d items resubmitted.", retried.count)
    return text % {"count": retried.count}


def _context(mission: Mission, error_code: str, start: int) -> dict[str, Any]:
    failed = _failed(mission, error_code)
    items = list(failed.filter(index__gte=start).order_by("index")[: ROWS + 1])
    for item in items:
        item.mission = mission
    prompt = prompt_field(catalog.model_of(mission))
    rows = []
    for view in present_items(mission, items[:ROWS]):
        text = str((mission.params | view.item.params).get(prompt.name if prompt else "") or "")
        rows.append({"item": view.item, "view": view, "prompt": text})
    edited = _edited_count(mission, error_code)
    return head_context(mission, "failures") | {
        "latest_event_id": event_source.latest_event_id(mission),
        "error_code": error_code,
        "rows": rows,
        "message": items[0].error_display if items else "",
        "failed_here": failed.count(),
        "edited": edited,
        "edited_label": _retry_label(mission, edited),
        "rows_price": failures.estimate(mission, len(rows)),
        "next_start": items[ROWS].index if len(items) > ROWS else 0,
        "start": start,
        "max_length": prompt.max_length if prompt else None,
    }


def _failed(mission: Mission, error_code: str) -> QuerySet[MissionItem]:
    return mission.items.filter(status=ItemStatus.FAILED, error_code=error_code, ended_at__isnull=False)


def _edited_count(mission: Mission, error_code: str) -> int:
    return _failed(mission, error_code).filter(edited_at__isnull=False).count()


def _retry_label(mission: Mission, count: int) -> str:
    """Return the label of the button that retries the edited items, with the price."""
    price = failures.estimate(mission, count)
    text = ngettext("Retry the %(count)d edited", "Retry the %(count)d edited", count) % {"count": count}
    if price is None:
        return text
    return _("%(text)s (about %(price)s)") % {"text": text, "price": money(price, mission.currency)}


def _number(field: str) -> str:
    """Return the item that an error's field names, for people."""
    number = field.split(".")[1] if field.startswith("items.") else ""
    return _("Item %(number)s") % {"number": number} if number else _("Not saved")


def _start(request: HttpRequest) -> int:
    text = request.POST.get("start", request.GET.get("start", ""))
    return int(text) if text.isdecimal() and len(text) < 10 else 1


def _url(mission: Mission, error_code: str, start: int = 1) -> str:
    query = {"error_code": error_code} | ({"start": start} if start > 1 else {})
    return f"{reverse('missions:mend', args=[mission.pk])}?{urlencode(query)}"
