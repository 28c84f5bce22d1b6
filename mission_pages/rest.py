"""``/missions/ID/rest``: change what waits behind the first rows of a mission. Nothing is sent."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_http_methods

from accounts.rights import Action
from batch_input.columns import prompt_field
from core.errors import DomainError
from core.templatetags.ui import number
from mission_pages.access import actor, visible_mission
from mission_pages.forms import ItemParametersForm, TextAroundPromptsField
from mission_pages.mission import head_context, release_balances
from missions import services
from missions.models import Mission
from missions.services import ChangedRest, MissionInvalid, RestChange
from providers import catalog
from providers.parameter_fields import PARAMETER


class RestForm(ItemParametersForm):
    """Changes of all rows that wait: words in their prompts, and the settings that they share."""

    text_before = TextAroundPromptsField(label=gettext_lazy("Before every prompt"), rows=2)
    text_after = TextAroundPromptsField(label=gettext_lazy("After every prompt"), rows=2)
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
    head = head_context(mission, "results") | release_balances(request, mission)
    context = head | {"form": form, "changed": changed, "latest_event_id": 0}
    return render(request, "mission_pages/rest.html", context, status=422 if form.errors else 200)
