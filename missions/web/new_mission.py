"""The page New mission.

One form, one address: every button posts the whole form with an ``action``, which may change the fields, and the page is drawn
from them again; they are kept in a draft first.  htmx asks for parts: the preview while somebody types, the form when its shape
changes.  Only ``submit`` spends money: what the button promised must still be true, and the draft is finished with it.
"""

from __future__ import annotations

from typing import Any, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import content_disposition_header, urlencode
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from drafts import services as drafts
from drafts.models import FormDraft
from drafts.services import AlreadySubmitted
from media.models import MediaFile
from missions import services
from missions.batch_input.preview import Preview, preview
from missions.batch_input.tables import sample_csv
from missions.models import Mission
from missions.services import MissionInvalid
from missions.web import new_mission_actions, new_mission_preview, prefill
from missions.web.access import visible_mission
from missions.web.new_mission_form import MissionFormState, typed
from providers import catalog

PAGE = "missions/new/page.html"
FORM = "missions/new/form.html"
PREVIEW = "missions/new/preview_response.html"
LIBRARY_PAGE = 48
OFFERED = 3  # unfinished forms


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def new_mission(request: HttpRequest) -> HttpResponse:
    return _post(request) if request.method == "POST" else _get(request)


def _get(request: HttpRequest) -> HttpResponse:
    """A draft as it was left, or an empty form, perhaps with a template or images in it."""
    owner = cast(User, request.user)
    draft = drafts.find_draft(owner=owner, key=request.GET.get("draft", ""))
    if draft is not None and draft.mission_id:
        return redirect("missions:mission", draft.mission_id)
    work = (
        MissionFormState.of_draft(draft)
        if draft
        else MissionFormState(owner, drafts.new_key(), prefill.prefilled(request.GET))
    )
    if draft is None and "template" in work.fields:
        new_mission_actions.act(work, "load_template", request)
    unfinished = (
        []
        if draft
        else [(kept, new_mission_preview.title_of(kept)) for kept in FormDraft.objects.unfinished(owner)[:OFFERED]]
    )
    return _draw(request, PAGE, work, unfinished=unfinished)


def _post(request: HttpRequest) -> HttpResponse:
    owner = cast(User, request.user)
    action = request.POST.get("action", "redraw")
    draft = drafts.open_draft(owner=owner, key=request.POST.get("draft", ""))
    if action == "submit":
        return _submit(request, draft)
    if draft.mission_id:  # somebody went back and goes on: that is another mission
        draft = drafts.open_draft(owner=owner, key=drafts.new_key())
    work = MissionFormState.of_draft(draft, typed(request.POST, draft.fields))
    new_mission_actions.act(work, action, request)
    try:
        work.keep(draft)
    except AlreadySubmitted as done:
        return _to_mission(request, done.mission_id)
    return _answer(request, work, action)


def _answer(request: HttpRequest, work: MissionFormState, action: str) -> HttpResponse:
    if not request.headers.get("HX-Request"):
        return _draw(request, PAGE, work)
    response = _draw(request, PREVIEW if action == "preview" else FORM, work)
    response["HX-Replace-Url"] = _address(work.key)
    return response


def _submit(request: HttpRequest, draft: FormDraft) -> HttpResponse:
    if draft.mission_id:
        messages.info(request, _("This was submitted already: here it is."))
        return _to_mission(request, draft.mission_id)
    work = MissionFormState.of_draft(draft, typed(request.POST, draft.fields))
    try:
        work.keep(draft)
        found = preview(work.entered.wanted)
        if not work.may_submit(found) or request.POST.get("promise") != found.promise:
            work.say("warning", _("Nothing was submitted yet. Look at the number and the price, and submit then."))
            return _draw(request, PAGE, work, status=422)
        mission = _create(work, found, draft)
    except AlreadySubmitted as done:
        return _to_mission(request, done.mission_id)
    except MissionInvalid as invalid:  # between the two checks a file was removed, or the catalogue changed
        work.say("error", str(invalid))
        return _draw(request, PAGE, work, status=422)
    known = {"count": mission.total_count}
    messages.success(
        request, ngettext("%(count)d item submitted.", "%(count)d items submitted.", known["count"]) % known
    )
    return _to_mission(request, mission.pk)


def _create(work: MissionFormState, found: Preview, draft: FormDraft) -> Mission:
    """Store the mission, and finish the draft in the same transaction."""
    return services.create_mission(
        **found.wanted.arguments(found.rows),
        **work.entered.schedule,
        on_created=lambda mission: drafts.finish(draft, mission_id=mission.pk),
    )


def _to_mission(request: HttpRequest, mission_id: int) -> HttpResponse:
    address = reverse("missions:mission", args=[mission_id])
    if request.headers.get("HX-Request"):
        return HttpResponse(headers={"HX-Redirect": address})
    return HttpResponseRedirect(address)


def _address(key: str) -> str:
    return f"{reverse('missions:new')}?{urlencode({'draft': key})}"


def _draw(
    request: HttpRequest, template: str, work: MissionFormState, *, status: int = 200, **more: Any
) -> HttpResponse:
    return render(request, template, work.context() | more, status=status)


# --- Beside the form ---


@login_required
@require_POST
def discard_draft(request: HttpRequest) -> HttpResponse:
    drafts.discard(owner=cast(User, request.user), key=request.POST.get("draft", ""))
    return redirect("missions:new")


@login_required
@require_POST
def duplicate(request: HttpRequest, mission_id: int) -> HttpResponse:
    """A new form that holds what a mission was made of.  Nothing is submitted."""
    owner = cast(User, request.user)
    mission = visible_mission(request, mission_id)
    draft = drafts.open_draft(owner=owner, key=drafts.new_key())
    work = prefill.copy_of(mission, owner=owner, key=draft.key)
    work.keep(draft)
    if work.entered.model.endpoint != mission.model:
        words = _("The model %(model)s cannot be chosen here: look at the settings of another one.")
        messages.warning(request, words % {"model": mission.model})
    return redirect(_address(draft.key))


@login_required
@require_GET
def sample(request: HttpRequest) -> HttpResponse:
    """A file to begin with, for the chosen model."""
    try:
        model = catalog.get_model(request.GET.get("model", ""))
    except catalog.UnknownModel:
        model = catalog.default_model("text_to_image")
    content = sample_csv(*prefill.sample_of(model))
    name = f"{model.endpoint.replace('/', '-')}.csv"
    disposition = content_disposition_header(as_attachment=True, filename=name) or "attachment"
    return HttpResponse(content, content_type="text/csv; charset=utf-8", headers={"Content-Disposition": disposition})


@login_required
@require_GET
def library(request: HttpRequest) -> HttpResponse:
    """The person's own images to choose from, a page of them, the newest first."""
    files = MediaFile.objects.filter(owner_id=request.user.pk)
    search = request.GET.get("search", "").replace("\0", "").strip()
    if search:
        files = files.filter(name__icontains=search)
    page = Paginator(files, LIBRARY_PAGE).get_page(request.GET.get("page"))
    images = [new_mission_preview.shown(file) | {"reference": file.reference} for file in page]
    return render(request, "missions/new/library.html", {"page": page, "images": images, "search": search})
