"""``/missions/ID/failures/sheet``: failed rows as a spreadsheet, and back onto the same items.

Reading the corrected rows shows what they change. Nothing is stored before a button is pressed, and
nothing is sent except by the one that names the price.
"""

from __future__ import annotations

import json
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods

from accounts.rights import Action
from batch_input.tables import RowsInvalid, read_table
from core.errors import DomainError
from core.storage.disk import OutOfSpace
from mission_pages.access import actor, visible_mission
from mission_pages.mission import head_context
from missions import event_source, services
from missions.models import Mission
from missions.services import MissionInvalid

SHOWN_ROWS = 50
SHOWN_PROBLEMS = 20
SHOWN_NOTES = 12  # items, lines or columns that a note names


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def corrections(request: HttpRequest, mission_id: int) -> HttpResponse:
    """Offer the failed rows, read corrected ones, and apply what the person has seen."""
    mission = visible_mission(request, mission_id, Action.CHANGE)
    action = request.POST.get("action", "") if request.method == "POST" else ""
    if action in ("save", "retry"):
        return _apply(request, mission, is_retried=action == "retry")
    context: dict[str, Any] = {"latest_event_id": event_source.latest_event_id(mission)}
    if request.method == "POST":
        context |= _read(request, mission)
    status = 422 if context.get("errors") else 200
    return render(request, "mission_pages/corrections.html", head_context(mission, "failures") | context, status=status)


def _read(request: HttpRequest, mission: Mission) -> dict[str, Any]:
    """Return what the rows of the uploaded sheet would change."""
    file = request.FILES.get("file")
    if not isinstance(file, UploadedFile):
        return {"errors": [_("Choose a file first.")]}
    try:
        table = read_table(file, name=file.name or "")
        found = services.read_corrections(mission, table)
    except RowsInvalid as invalid:
        return {"errors": [str(error) for error in invalid.errors[:SHOWN_PROBLEMS]]}
    except MissionInvalid as invalid:
        return {"errors": [error.message for error in invalid.errors]}
    except OutOfSpace as full:
        return {"errors": [str(full)]}
    unchanged = len(found.unchanged)
    notes = []
    if unchanged:
        text = ngettext("%(count)d row is unchanged", "%(count)d rows are unchanged", unchanged)
        notes.append((text % {"count": unchanged}, ""))
    for values, text in (
        (found.not_failed, _("Items that are not failed any more: %(count)d")),
        (found.unknown, _("Lines that name no item of this mission: %(count)d")),
        (found.repeated, _("Lines that name an item a second time: %(count)d")),
        (found.unused_columns, _("Columns that are not used: %(count)d")),
    ):
        if values:
            notes.append((text % {"count": len(values)}, ", ".join(map(str, values[:SHOWN_NOTES]))))
    return {
        "found": found,
        "name": file.name,
        "rows": found.changed[:SHOWN_ROWS],
        "further": max(len(found.changed) - SHOWN_ROWS, 0),
        "problems": [(error.field.split(".")[1], error.message) for error in found.problems[:SHOWN_PROBLEMS]],
        "changes": json.dumps(found.params, ensure_ascii=False),
        "notes": notes,
    }


def _apply(request: HttpRequest, mission: Mission, *, is_retried: bool) -> HttpResponse:
    """Store the changes that the page has shown, and retry these items if the person agreed."""
    try:
        posted = json.loads(request.POST.get("changes", ""))
        params = {int(index): dict(values) for index, values in posted.items() if index.isdecimal() and len(index) < 10}
    except (ValueError, TypeError, AttributeError):
        messages.error(request, _("Nothing was changed. Choose the file again."))
        return redirect("missions:corrections", mission.pk)
    try:
        result = services.apply_corrections(
            mission_id=mission.pk, params=params, actor=actor(request), is_retried=is_retried
        )
    except DomainError as refusal:
        text = refusal.message or " ".join(error.message for error in refusal.errors[:5])
        messages.error(request, text)
        return redirect("missions:corrections", mission.pk)
    if is_retried:
        text = ngettext(
            "%(count)d item changed and resubmitted.", "%(count)d items changed and resubmitted.", result.count
        )
    else:
        text = ngettext(
            "%(count)d item changed. Nothing is sent until you retry.",
            "%(count)d items changed. Nothing is sent until you retry.",
            result.count,
        )
    messages.success(request, text % {"count": result.count})
    return redirect("missions:failures", mission.pk)
