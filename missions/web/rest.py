"""``/missions/ID/rest`` and ``release``: what waits behind the first rows of a mission.

Changing it sends nothing; only the button of the release, which names the price, does.
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_http_methods, require_POST

from accounts.rights import Action
from batch_input.columns import prompt_field
from batch_input.variables import MAX_AROUND
from core.errors import DomainError
from core.http.redirects import safe_next
from core.templatetags.ui import number
from missions import services
from missions.models import Mission
from missions.services import ChangedRest, MissionInvalid, RestChange
from missions.web.access import actor, visible_mission
from missions.web.forms import ItemParametersForm
from missions.web.mission import head_context
from providers import catalog
from providers.parameter_fields import PARAMETER, SpendingLimitField


class ReleaseForm(forms.Form):
    """A release. ``at_most`` is the price on the button, empty if it is unknown."""

    at_most = forms.DecimalField(required=False, widget=forms.HiddenInput)
    spending_limit = SpendingLimitField()


class RestForm(ItemParametersForm):
    """Changes of all rows that wait: words in their prompts, and the settings that they share."""

    text_before = forms.CharField(
        label=gettext_lazy("Before every prompt"),
        required=False,
        max_length=MAX_AROUND,
        strip=False,
        widget=forms.Textarea({"rows": 2}),
    )
    text_after = forms.CharField(
        label=gettext_lazy("After every prompt"),
        required=False,
        max_length=MAX_AROUND,
        strip=False,
        widget=forms.Textarea({"rows": 2}),
    )
    find = forms.CharField(max_length=1000, required=False, strip=False, label=gettext_lazy("Find"))
    replace = forms.CharField(max_length=1000, required=False, strip=False, label=gettext_lazy("Replace with"))
    match_case = forms.BooleanField(required=False, label=gettext_lazy("Match case"))

    def __init__(self, mission: Mission, data: Any = None) -> None:
        model = catalog.model_of(mission)
        super().__init__(model, mission.params, data)
        prompt = prompt_field(model)
        for parameter in model.parameters:
            if parameter.is_file or parameter == prompt:
                del self.fields[PARAMETER + parameter.name]
                self.initial.pop(PARAMETER + parameter.name, None)  # else it would count as removed
        if prompt is None:
            for name in ("text_before", "text_after", "find", "replace", "match_case"):
                del self.fields[name]

    @property
    def settings(self) -> list[forms.BoundField]:
        """The fields of the model's parameters."""
        return [self[name] for name in self.fields if name.startswith(PARAMETER)]

    @property
    def change(self) -> RestChange:
        """Return the change that the form describes. It must be valid."""
        values = self.cleaned_data
        return RestChange(
            params=self.changed_params(),
            prefix=values.get("text_before", ""),
            suffix=values.get("text_after", ""),
            find=values.get("find", ""),
            replace=values.get("replace", ""),
            match_case=values.get("match_case", False),
        )


@login_required
@require_POST
def release(request: HttpRequest, mission_id: int) -> HttpResponse:
    """Let the rows run that wait."""
    visible_mission(request, mission_id, Action.CHANGE)
    form = ReleaseForm(request.POST)
    next_url = safe_next(request, reverse("missions:mission", args=[mission_id]))
    if not form.is_valid():
        messages.error(request, " ".join(str(errors[0]) for errors in form.errors.values()))
        return redirect(next_url)
    try:
        released = services.release_mission(mission_id=mission_id, actor=actor(request), **form.cleaned_data)
    except DomainError as refusal:
        messages.error(request, refusal.message or " ".join(error.message for error in refusal.errors))
    else:
        text = ngettext("%(count)s item released.", "%(count)s items released.", released.count)
        messages.success(request, text % {"count": number(released.count)})
    return redirect(next_url)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def change_rest(request: HttpRequest, mission_id: int) -> HttpResponse:
    """Show a form for the rows that wait; show what it changes, then store that."""
    mission = visible_mission(request, mission_id, Action.CHANGE)
    if not mission.held_count:
        messages.info(request, _("Nothing of this mission waits for a release any more."))
        return redirect("missions:mission", mission_id)
    form = RestForm(mission, request.POST if request.method == "POST" else None)
    changed: ChangedRest | None = None
    if request.method == "POST" and form.is_valid():
        is_preview = request.POST.get("action") != "save"
        try:
            changed = services.change_rest(
                mission_id=mission_id, change=form.change, actor=actor(request), is_preview=is_preview
            )
        except MissionInvalid as invalid:
            form.add_errors({error.field.removeprefix("params."): error.message for error in invalid.errors})
        except DomainError as refusal:
            messages.error(request, refusal.message)
            return redirect("missions:mission", mission_id)
        else:
            if not is_preview:
                text = ngettext("%(count)s item changed.", "%(count)s items changed.", changed.count)
                text = text % {"count": number(changed.count)}
                messages.success(request, f"{text} {_('Nothing is sent until you release the rest.')}")
                return redirect("missions:mission", mission_id)
    context = head_context(mission, "results") | {"form": form, "changed": changed, "latest_event_id": 0}
    return render(request, "missions/rest.html", context, status=422 if form.errors else 200)
