"""Download selected results as one ZIP archive. The archive of all results is a URL of the API."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from core.http.file_names import content_disposition
from core.http.streaming import ThreadedStream
from mission_pages.access import visible_mission
from mission_pages.forms import SelectionForm
from missions.results.export import download_name
from missions.results.zip_archive import Bundle


@login_required
@require_POST
def download_selection(request: HttpRequest, mission_id: int) -> HttpResponseBase:
    """Stream the files of the selected results, with a manifest."""
    mission = visible_mission(request, mission_id)
    form = SelectionForm(request.POST)
    if not form.is_valid():
        messages.error(request, form.first_error())
        return redirect("missions:mission", mission_id)
    bundle = Bundle(mission, form.indexes_of(mission))
    response = ThreadedStream(bundle, content_type="application/zip")
    response["Content-Length"] = str(bundle.length)
    response["Content-Disposition"] = content_disposition(download_name(mission, "_selection.zip"))
    return response
