"""``/missions/ID/links``: share links, for the people who may change the mission."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, cast

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.rights import Action
from core.errors import NotPossible
from mission_pages.access import visible_mission
from mission_pages.forms import SelectionForm, number_ranges
from missions.models import Mission
from sharing import services
from sharing.models import ShareLink

DAYS = [
    (1, gettext_lazy("1 day")),
    (7, gettext_lazy("7 days")),
    (14, gettext_lazy("14 days")),
    (30, gettext_lazy("30 days")),
    (90, gettext_lazy("90 days")),
    (365, gettext_lazy("1 year")),
]


class LinkForm(forms.Form):
    """A new link. The selection of results is beside it, in a SelectionForm."""

    title = forms.CharField(
        max_length=200, required=False, label=gettext_lazy("Title"), help_text=gettext_lazy("The heading of the page.")
    )
    message = forms.CharField(
        max_length=2000,
        required=False,
        label=gettext_lazy("Your message"),
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=gettext_lazy("Shown above the results. For example: Please star your ten best by Friday."),
    )
    days = forms.TypedChoiceField(
        choices=DAYS, coerce=int, initial=services.DEFAULT_DAYS, label=gettext_lazy("Expires after")
    )
    allows_picks = forms.BooleanField(
        required=False,
        initial=True,
        label=gettext_lazy("Viewers can star results"),
        help_text=gettext_lazy("Their stars appear in your mission at once."),
    )
    allows_download = forms.BooleanField(
        required=False,
        initial=True,
        label=gettext_lazy("Viewers can download files"),
        help_text=gettext_lazy(
            "If this is off, the page has no download buttons. A picture on the screen can still be saved."
        ),
    )
    shows_prompts = forms.BooleanField(
        required=False, label=gettext_lazy("Viewers can see prompts"), help_text=gettext_lazy("Costs are never shown.")
    )

    def __init__(self, data: Any = None) -> None:
        super().__init__(data, prefix="link")


@login_required
@require_safe
def show_links(request: HttpRequest, mission_id: int) -> HttpResponse:
    """Show the links of a mission and the form for another one to all its results."""
    mission = visible_mission(request, mission_id, Action.CHANGE)
    return _render(request, mission, LinkForm())


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def new_link(request: HttpRequest, mission_id: int) -> HttpResponse:
    """Show the form for a link to selected results, or create the link when that form is sent."""
    mission = visible_mission(request, mission_id, Action.CHANGE)
    if request.method != "POST":
        return redirect("sharing:links", mission_id)
    selection = SelectionForm(request.POST)
    is_partial = any(name in request.POST for name in ("item", "all"))
    if is_partial and not selection.is_valid():
        messages.error(request, selection.first_error())
        return redirect("missions:mission", mission_id)
    indexes = sorted(selection.indexes_of(mission)) if is_partial else None
    if "link-days" not in request.POST:
        return _render(request, mission, LinkForm(), indexes)
    form = LinkForm(request.POST)
    if not form.is_valid():
        return _render(request, mission, form, indexes, status=422)
    values = form.cleaned_data
    try:
        services.create_link(
            mission=mission,
            creator=cast(User, request.user),
            indexes=indexes,
            expires_at=timezone.now() + timedelta(days=values.pop("days")),
            **values,
        )
    except services.LinkInvalid as invalid:
        for error in invalid.errors:
            form.add_error(error.field if error.field in form.fields else None, error.message)
        return _render(request, mission, form, indexes, status=422)
    except NotPossible as refusal:
        form.add_error(None, str(refusal))
        return _render(request, mission, form, indexes, status=409)
    messages.success(request, _("The link is ready. Copy it and send it."))
    return redirect("sharing:links", mission_id)


@login_required
@require_POST
def withdraw_link(request: HttpRequest, mission_id: int, link_id: int) -> HttpResponse:
    """End a link at once."""
    mission = visible_mission(request, mission_id, Action.CHANGE)
    services.withdraw(get_object_or_404(ShareLink.objects.select_related("mission"), mission=mission, pk=link_id))
    messages.success(request, _("The link no longer works. Its stars stay."))
    return redirect("sharing:links", mission_id)


def _render(
    request: HttpRequest,
    mission: Mission,
    form: LinkForm,
    indexes: Sequence[int] | None = None,
    *,
    status: int = 200,
) -> HttpResponse:
    site = settings.PUBLIC_BASE_URL or f"{request.scheme}://{request.get_host()}"
    links = mission.share_links.select_related("creator", "mission").annotate(pick_count=Count("picks"))
    context = {
        "mission": mission,
        "form": form,
        "selected": number_ranges(indexes) if indexes else "",
        "selected_count": len(indexes or ()),
        "links": [(link, site + reverse("sharing:shared", args=[link.token])) for link in links],
    }
    return render(request, "sharing/links.html", context, status=status)
