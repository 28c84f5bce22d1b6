"""Actions on selected results of several missions, for the page ``/results``.

Rights are checked per mission. Results that a person may not change are left alone, and the answer
says so.
"""

from __future__ import annotations

from collections import defaultdict
from typing import cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from accounts import rights
from accounts.rights import Action
from core.file_names import clean_stem, distinct_stems
from core.http.file_names import content_disposition
from core.http.redirects import safe_next
from core.http.streaming import ThreadedStream
from core.templatetags.ui import number
from mission_pages.forms import ResultSelectionForm
from mission_pages.marks import answer, change_marks
from mission_pages.versions import open_form_with
from missions.models import ItemStatus, Mission, MissionItem, Output
from missions.results.names import file_name
from missions.results.zip_archive import Bundle


@login_required
@require_POST
def mark(request: HttpRequest) -> HttpResponse:
    """Star or tag the selected results, or take stars or tags away."""
    form = ResultSelectionForm(request.POST)
    if not form.is_valid():
        return answer(request, {"message": form.first_error()}, _next_url(request), status=422)
    selected = _visible(request, form)
    missions = Mission.objects.filter(pk__in=selected.order_by().values("mission").distinct())
    changeable = [mission.pk for mission in missions.only("owner") if rights.may(request.user, Action.CHANGE, mission)]
    count = selected.count()
    ids = list(selected.filter(mission__in=changeable).order_by("pk").values_list("pk", flat=True))
    if not ids:
        text = _("These results belong to other people, so you cannot change them. Nothing was changed.")
        return answer(
            request, {"message": text if count else _gone()}, _next_url(request), status=403 if count else 422
        )
    note = ""
    if others := count - len(ids):
        note = ngettext(
            "%(count)s other belongs to somebody else and was left alone.",
            "%(count)s others belong to somebody else and were left alone.",
            others,
        ) % {"count": number(others)}
    return change_marks(request, ids, _next_url(request), note)


@login_required
@require_POST
def download(request: HttpRequest) -> HttpResponseBase:
    """Stream the files of the selected results, in a folder for each mission, with a manifest."""
    form = ResultSelectionForm(request.POST)
    indexes: defaultdict[int, list[int]] = defaultdict(list)
    if form.is_valid():
        for mission_id, index in _visible(request, form).order_by("pk").values_list("mission", "index"):
            indexes[mission_id].append(index)
    missions = list(Mission.objects.filter(pk__in=indexes).defer("metadata").order_by("-pk"))
    if not missions:
        messages.error(request, _gone() if form.is_valid() else form.first_error())
        return redirect(_next_url(request))
    stems = distinct_stems([clean_stem(mission.name) or "mission" for mission in missions])
    folders = {mission.pk: stem for mission, stem in zip(missions, stems, strict=True)}

    def name_of(item: MissionItem, output: Output) -> str:
        return f"{folders[item.mission_id]}/{file_name(item, output)}"

    first, *more = ((mission, indexes[mission.pk]) for mission in missions)
    bundle = Bundle(*first, more=more, name_of=name_of)
    response = ThreadedStream(bundle, content_type="application/zip")
    response["Content-Length"] = str(bundle.length)
    response["Content-Disposition"] = content_disposition(f"results_{timezone.localdate():%Y-%m-%d}.zip")
    return response


@login_required
@require_POST
def use(request: HttpRequest) -> HttpResponse:
    """Open a new form with the pictures of the selected results and their prompts.

    Nothing is submitted.
    """
    form = ResultSelectionForm(request.POST)
    if not form.is_valid():
        messages.error(request, form.first_error())
        return redirect(_next_url(request))
    own = _visible(request, form).filter(mission__owner=cast(User, request.user))
    if not own.exists():
        messages.error(request, _("Only results of your own missions can be input of a mission of yours."))
        return redirect(_next_url(request))
    return open_form_with(request, own, _next_url(request))


def _visible(request: HttpRequest, form: ResultSelectionForm) -> QuerySet[MissionItem]:
    visible = Mission.objects.visible_to(request.user)
    return MissionItem.objects.filter(
        pk__in=form.cleaned_data["item"], mission__in=visible, status=ItemStatus.COMPLETED
    )


def _gone() -> str:
    return _("These results do not exist any more. Reload the page.")


def _next_url(request: HttpRequest) -> str:
    return safe_next(request, reverse("missions:results"))
