"""Star and tag results.

Each is a POST that redirects to the page that the form names. A script that accepts JSON gets JSON
with a message, and the page stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from accounts.rights import Action
from core.errors import FieldError, Invalid
from core.http.redirects import safe_next
from core.templatetags.ui import number
from mission_pages.access import visible_item, visible_mission
from mission_pages.forms import SelectionForm, TagsForm
from mission_pages.item import parameters_form, render_item
from missions import selectors, services


@login_required
@require_POST
def mark(request: HttpRequest, mission_id: int) -> HttpResponse:
    """Star or tag the selected results of a mission, or take stars or tags away."""
    mission = visible_mission(request, mission_id, Action.CHANGE)
    next_url = safe_next(request, reverse("missions:mission", args=[mission_id]))
    form = SelectionForm(request.POST)
    if not form.is_valid():
        return answer(request, {"message": form.first_error()}, next_url, status=422)
    items = mission.items.filter(index__in=form.indexes_of(mission))
    return change_marks(request, list(items.order_by().values_list("pk", flat=True)), next_url)


@login_required
@require_POST
def set_item_tags(request: HttpRequest, mission_id: int, index: int) -> HttpResponse:
    """Let an item have the tags of the form, and no others."""
    item = visible_item(request, mission_id, index, Action.CHANGE)
    form = TagsForm(request.POST)
    known = selectors.known_tags(item.mission.owner_id)
    try:
        if form.is_valid():
            services.tag_items(item_ids=[item.pk], add=form.cleaned_data["tags"], remove=known)
    except Invalid as invalid:
        form.add_error("tags", [error.message for error in invalid.errors])
    is_script = request.headers.get("Accept") == "application/json"
    if form.errors:
        if is_script:
            return JsonResponse({"message": " ".join(map(str, form.errors["tags"]))}, status=422)
        return render_item(request, item, parameters_form(item), tags_form=form, status=422)
    if is_script:
        return JsonResponse({"tags": [row.name for row in item.tags.all()], "message": _("Tags saved.")})
    messages.success(request, _("Tags saved."))
    return redirect("missions:item", mission_id, index)


def change_marks(request: HttpRequest, item_ids: Sequence[int], next_url: str, note: str = "") -> HttpResponse:
    """Star or tag items as the form says, and tell how many results changed; ``note`` is added.

    With ``tagged`` "1" they get the ``tags``, with "0" they lose them. Otherwise ``starred`` is "1"
    or "0".
    """
    if "tagged" not in request.POST:
        is_starred = request.POST.get("starred") != "0"
        count = services.star_items(item_ids=item_ids, is_starred=is_starred)
        text = ngettext("%(count)s result starred.", "%(count)s results starred.", count)
        if not is_starred:
            text = ngettext("Star removed from %(count)s result.", "Star removed from %(count)s results.", count)
        facts: dict[str, Any] = {"starred": is_starred}
    else:
        form, is_added = TagsForm(request.POST), request.POST["tagged"] != "0"
        names = form.cleaned_data["tags"] if form.is_valid() else []
        try:
            if not names:
                raise Invalid([FieldError("tags", _("Enter a tag first."))])
            count = services.tag_items(item_ids=item_ids, **{"add" if is_added else "remove": names})
        except Invalid as invalid:
            return answer(request, {"message": " ".join(each.message for each in invalid.errors)}, next_url, status=422)
        text = ngettext("%(count)s result tagged.", "%(count)s results tagged.", count)
        if not is_added:
            text = ngettext("Tag removed from %(count)s result.", "Tag removed from %(count)s results.", count)
        facts = {"tagged": is_added, "tags": names}
    message = f"{text % {'count': number(count)}} {note}".strip()
    return answer(request, facts | {"count": count, "message": message}, next_url)


def answer(request: HttpRequest, facts: dict[str, Any], next_url: str, *, status: int = 200) -> HttpResponse:
    """Return facts as JSON to a script. Send others to ``next_url``, with an error's text."""
    if request.headers.get("Accept") == "application/json":
        return JsonResponse(facts, status=status)
    if status >= 400:
        messages.error(request, facts["message"])
    return redirect(next_url)
