"""The new-mission page.

One form at one address. Every button posts the whole form with an ``action``, and each request does
the same steps: load the draft, apply the button, save the draft, parse the form, check it, then
show it or create the mission. htmx asks for parts of the page: the preview while somebody types,
the whole form when its controls change.

Only ``submit`` spends money. It creates the mission only if the count and price on the button are
still right, and finishes the draft in the same transaction, so that a second click creates nothing.
"""

from __future__ import annotations

from typing import cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from batch_input.tables import sample_csv
from core.db.transactions import durable_transaction
from core.http.file_names import content_disposition
from drafts import services as drafts
from drafts.models import FormDraft
from drafts.services import AlreadySubmitted
from media.models import MediaFile
from mission_pages.access import visible_mission
from mission_pages.new_mission import prefill
from mission_pages.new_mission.actions import apply_action
from mission_pages.new_mission.form import FormState, model_of, parse, posted_fields
from mission_pages.new_mission.page import has_content, library_image, page_context, title_of
from mission_pages.new_mission.preview import Preview, check_models
from missions import services
from missions.models import Mission
from missions.services import MissionInvalid
from providers import catalog

PAGE = "mission_pages/new_mission/page.html"
FORM = "mission_pages/new_mission/form.html"
PREVIEW = "mission_pages/new_mission/preview_response.html"
LIBRARY_PAGE_SIZE = 48
SHOWN_DRAFTS = 50


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def new_mission(request: HttpRequest) -> HttpResponse:
    """Show the form: a draft, or a new form, perhaps with a template or images from the query."""
    if request.method == "POST":
        return _post(request)
    owner = cast(User, request.user)
    draft = drafts.find_draft(owner=owner, key=request.GET.get("draft", ""))
    if draft is not None and draft.mission_id:
        return redirect("missions:mission", draft.mission_id)
    unfinished = []
    if draft is not None:
        state = FormState.of_draft(draft)
    else:
        state = FormState(owner, drafts.new_key(), prefill.fields_of_query(request.GET))
        if "template" in state.fields:
            apply_action(state, "load_template", request)
        drafts_of_owner = FormDraft.objects.unfinished(owner)[:SHOWN_DRAFTS]
        unfinished = [(draft, title_of(draft)) for draft in drafts_of_owner if has_content(draft)]
    entry = parse(state)
    return render(request, PAGE, page_context(state, entry, check_models(state, entry)) | {"drafts": unfinished})


def _post(request: HttpRequest) -> HttpResponse:
    """Apply the button that was pressed, and show the form again or create the mission."""
    owner = cast(User, request.user)
    action = request.POST.get("action", "redraw")
    is_submit = action == "submit"
    draft = drafts.open_draft(owner=owner, key=request.POST.get("draft", ""))
    if draft.mission_id and is_submit:
        messages.info(request, _("This form was submitted before. Here is its mission."))
        return _to_mission(request, draft.mission_id)
    if draft.mission_id:  # the person went back and changed something: that is another mission
        draft = drafts.open_draft(owner=owner, key=drafts.new_key())

    state = FormState.of_draft(draft, posted_fields(request.POST, draft.fields, owner_id=draft.owner_id))
    unread = [name for name in ("file", "image_files") if request.FILES.get(name)] if is_submit else []
    if unread:  # files that the page has not shown yet, as without JavaScript: show them first
        action = "import" if unread[0] == "file" else "upload_images"
    apply_action(state, action, request)
    try:
        state.save(draft)
    except AlreadySubmitted as submitted:
        return _to_mission(request, submitted.mission_id)
    entry = parse(state)
    preview = check_models(state, entry)
    if (
        is_submit
        and not unread
        and preview.draft is not None
        and preview.is_ready
        and request.POST.get("quoted_total") == preview.quoted_total
    ):
        try:
            missions = _create(draft, preview)
        except AlreadySubmitted as submitted:
            return _to_mission(request, submitted.mission_id)
        except MissionInvalid as invalid:  # a file was removed after the check
            state.note("error", str(invalid))
            preview = check_models(state, entry)
        else:
            mission = missions[0]
            count = sum(each.total_count - each.held_count for each in missions)
            text = ngettext("%(count)d item submitted.", "%(count)d items submitted.", count)
            messages.success(request, text % {"count": count})
            return _to_mission(request, mission.pk)
    elif unread:
        text = _("Nothing was submitted yet: the file was read just now. Check what was read, then submit.")
        state.note("warning", text)
    elif is_submit:
        state.note("warning", _("Nothing was submitted yet. Check the number of items and the price, then submit."))

    context = page_context(state, entry, preview)
    if is_submit:
        return render(request, PAGE, context, status=422)
    if not request.headers.get("HX-Request"):
        return render(request, PAGE, context)
    response = render(request, PREVIEW if action == "preview" and not state.is_new_table else FORM, context)
    if action == "preview" and state.is_new_table:  # cells were pasted: the whole form changes
        response["HX-Retarget"] = "#mission-form"
        response["HX-Reswap"] = "outerHTML"
    response["HX-Replace-Url"] = _draft_url(state.key)
    return response


def _create(draft: FormDraft, preview: Preview) -> list[Mission]:
    """Create the missions of a preview, one per model, and finish the draft: all or none."""
    entry = preview.entry
    missions = []
    with durable_transaction():
        for each in preview.all:
            assert each.draft is not None
            mission = services.create_mission(
                each.draft.with_model_in_name() if preview.others else each.draft,
                priority=entry.priority,
                not_before=entry.not_before,
                run_first=each.run_first,
                group=draft.key if preview.others else None,
                input_report=each.report.to_json() if each.report.is_imported else None,
            )
            missions.append(mission)
        drafts.finish(draft, mission_id=missions[0].pk)
    return missions


def _to_mission(request: HttpRequest, mission_id: int) -> HttpResponse:
    url = reverse("missions:mission", args=[mission_id])
    if request.headers.get("HX-Request"):
        return HttpResponse(headers={"HX-Redirect": url})
    return HttpResponseRedirect(url)


def _draft_url(key: str) -> str:
    return f"{reverse('missions:new')}?{urlencode({'draft': key})}"


# --- Other views of the page ---


@login_required
@require_POST
def discard_draft(request: HttpRequest) -> HttpResponse:
    drafts.discard(owner=cast(User, request.user), key=request.POST.get("draft", ""))
    return redirect("missions:new")


@login_required
@require_POST
def duplicate(request: HttpRequest, mission_id: int) -> HttpResponse:
    """Open a new form with the contents of a mission. Nothing is submitted."""
    mission = visible_mission(request, mission_id)
    draft = drafts.open_draft(owner=cast(User, request.user), key=drafts.new_key())
    state = FormState.of_draft(draft)
    prefill.copy_mission(mission, state)
    state.save(draft)
    model = model_of(state.fields, mission.owner_id)
    if (model.provider, model.endpoint) != (mission.provider, mission.model):
        text = _("The model %(model)s is not available here. Check the settings of the model that replaces it.")
        messages.warning(request, text % {"model": mission.model})
    return redirect(_draft_url(draft.key))


@login_required
@require_GET
def sample(request: HttpRequest) -> HttpResponse:
    """Download a CSV file to fill in for the chosen model."""
    try:
        model = catalog.get_model(request.GET.get("model", ""), owner_id=request.user.pk)
    except catalog.UnknownModel:
        model = catalog.default_model("text_to_image")
    content = sample_csv(*prefill.sample_of(model))
    name = f"{model.endpoint.replace('/', '-')}.csv"
    disposition = content_disposition(name)
    return HttpResponse(content, content_type="text/csv; charset=utf-8", headers={"Content-Disposition": disposition})


@login_required
@require_GET
def library(request: HttpRequest) -> HttpResponse:
    """Show a page of the person's own images to choose from, the newest first."""
    files = MediaFile.objects.filter(owner_id=request.user.pk)
    search = request.GET.get("search", "").replace("\0", "").strip()
    if search:
        files = files.filter(name__icontains=search)
    page = Paginator(files, LIBRARY_PAGE_SIZE).get_page(request.GET.get("page"))
    context = {"page": page, "images": [library_image(file) for file in page], "search": search}
    return render(request, "mission_pages/new_mission/library.html", context)
