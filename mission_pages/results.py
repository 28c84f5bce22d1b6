"""``/results``: the results of all missions that a person may see, newest first."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, cast

from django import forms
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from accounts import rights
from accounts.rights import Action
from core.text import trim
from mission_pages.forms import FilterSelect, GalleryForm, SearchField
from mission_pages.gallery import look_of, remember_look
from mission_pages.item_presenter import present_results
from missions import selectors
from missions.models import Mission
from missions.search import Filters, ResultsPage, find_results
from providers import catalog
from providers.catalog.task_types import TaskType

RESULTS_PER_PAGE = 48
MISSIONS_SEEN = 2000  # the newest missions, whose models can be chosen
MISSIONS_OFFERED = 20
OFFER = re.compile(r".* · #([0-9]{1,18})", re.DOTALL)  # see _missions_found.html


class DateInput(forms.DateInput):
    """A date without the frame of a field."""

    input_type = "date"

    def __init__(self) -> None:
        super().__init__({"class": "input"}, format="%Y-%m-%d")


class MissionInput(forms.TextInput):
    """A text that finds missions. The browser offers them while it is typed."""

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        own = {
            "class": "input",
            "list": "missions-found",
            "autocomplete": "off",
            "hx-get": reverse("missions:offered-missions"),
            "hx-trigger": "input changed delay:250ms, focus once",
            "hx-target": "#missions-found",
            "hx-swap": "outerHTML",
            "hx-sync": "this:replace",
        }
        return super().get_context(name, value, own | (attrs or {}))


class ResultFilterForm(forms.Form):
    """The filters of the results, as they stand in the page's URL.

    A mission is asked for by its id (``mission``) or by a text (``mission_name``). It is
    ``mission_chosen``; if there is none, ``mission_problem`` says why, and ``missions_found`` are
    those that the text may mean. Other invalid values are ignored.
    """

    search = SearchField(_("Prompt, ID, file or tag"))
    mission_name = forms.CharField(
        required=False,
        max_length=250,
        label=_("Mission"),
        widget=MissionInput({"placeholder": _("Any mission")}),
    )
    task_type = forms.ChoiceField(
        required=False, label=_("Type"), choices=[("", _("Any type")), *TaskType.choices], widget=FilterSelect
    )
    model = forms.ChoiceField(required=False, label=_("Model"), widget=FilterSelect)
    starred = forms.ChoiceField(
        required=False,
        label=_("Stars"),
        choices=[("", _("All results")), ("1", _("Starred only"))],
        widget=FilterSelect,
    )
    tag = forms.ChoiceField(required=False, label=_("Tag"), widget=FilterSelect)
    since = forms.DateField(required=False, label=_("From"), widget=DateInput)
    until = forms.DateField(required=False, label=_("To"), widget=DateInput)

    def __init__(self, user: User, data: Any) -> None:
        super().__init__(data)
        self.mission_chosen: Mission | None = None
        self.missions_found: list[Mission] = []
        self.mission_problem = self._find_mission(user)
        self.tags = selectors.known_tags(None if rights.may_all(user, Action.VIEW, Mission) else user.pk)
        self.fields["tag"].choices = [("", _("Any tag")), *((name, name) for name in self.tags)]  # type: ignore[attr-defined]
        newest = Mission.objects.visible_to(user).order_by("-created_at").values("pk")[:MISSIONS_SEEN]
        used = Mission.objects.filter(pk__in=newest).order_by("provider", "model")
        pairs = list(used.values_list("provider", "model").distinct())
        self.fields["model"].choices = [  # type: ignore[attr-defined]
            ("", _("Any model")),
            *((f"{provider}:", provider) for provider in dict.fromkeys(provider for provider, _model in pairs)),
            *((f"{provider}:{model}", _label(provider, model)) for provider, model in pairs),
        ]

    @property
    def filters(self) -> Filters:
        """Return the conditions of the search. The last day is included."""
        self.is_valid()
        values = self.cleaned_data
        provider, _colon, model = values.get("model", "").partition(":")
        since, until = values.get("since"), values.get("until")
        return Filters(
            text=values.get("search", ""),
            mission=self.mission_chosen.pk if self.mission_chosen else 0,
            task_type=values.get("task_type", ""),
            provider=provider,
            model=model,
            is_starred=bool(values.get("starred")),
            tag=values.get("tag", ""),
            since=_start_of(since) if since else None,
            until=_start_of(until + timedelta(days=1)) if until and until < date.max else None,
        )

    def _find_mission(self, user: User) -> str:
        """Find the mission that is asked for. Return why there is none; "" if none is asked for."""
        number, text = (trim(self.data.get(name, "")) for name in ("mission", "mission_name"))
        if not number and (offer := OFFER.fullmatch(text)):
            number = offer[1]
        if number:
            if re.fullmatch("[0-9]{1,18}", number):
                self.mission_chosen = Mission.objects.visible_to(user).only("name").filter(pk=int(number)).first()
            return "" if self.mission_chosen else gettext("There is no such mission, or you may not see it.")
        if not text:
            return ""
        found = missions_found(user, text)
        if len(found) == 1:
            [self.mission_chosen] = found
            return ""
        self.missions_found = found
        return gettext("Several missions match. Choose one.") if found else gettext("No missions match")

    @property
    def selects(self) -> list[forms.BoundField]:
        names = ["task_type", "model", "starred", *(["tag"] if self.tags else [])]
        return [self[name] for name in names]

    @property
    def dates(self) -> list[forms.BoundField]:
        return [self["since"], self["until"]]

    @property
    def is_filtering(self) -> bool:
        return self.filters != Filters()


@login_required
@require_safe
def show_results(request: HttpRequest) -> HttpResponse:
    """Show a page of results. The filters are part of the URL."""
    user = cast(User, request.user)
    form = ResultFilterForm(user, request.GET)
    query = request.GET.copy()
    names = query.pop("mission_name", None)
    if names and form.mission_chosen:
        query["mission"] = str(form.mission_chosen.pk)
        return redirect(f"{request.path}?{query.urlencode()}")
    cursor = request.GET.get("after", "").partition("-")[0]  # a place in the gallery is "cursor-0"
    page = ResultsPage([], "")
    if not form.mission_problem:
        page = find_results(user, form.filters, cursor=cursor, limit=RESULTS_PER_PAGE)
    for name in ("after", "size", "fit"):
        query.pop(name, None)
    query_text = query.urlencode()
    of_all = query.copy()
    of_all.pop("mission", None)
    query["after"] = page.next_cursor
    context = {
        "form": form,
        "known_tags": form.tags,
        "results": [(view, rights.may(user, Action.CHANGE, view.item.mission)) for view in present_results(page.items)],
        "more_url": f"?{query.urlencode()}" if page.next_cursor else "",
        "first_url": f"?{query_text}" if cursor else "",
        "next_cursor": page.next_cursor,
        "query": query_text,
        "query_of_all": of_all.urlencode(),
    }
    look = GalleryForm(request.GET)
    response = render(request, "mission_pages/all_results.html", context | look_of(request, look))
    remember_look(request, response, look)
    return response


@login_required
@require_safe
def offer_missions(request: HttpRequest) -> HttpResponse:
    """Return the missions that a text may mean, for the field in which it is typed."""
    found = missions_found(cast(User, request.user), trim(request.GET.get("mission_name", "")))
    return render(request, "mission_pages/_missions_found.html", {"missions": found})


def missions_found(user: User, text: str) -> list[Mission]:
    """Return the missions that the list of missions finds by a text, up to MISSIONS_OFFERED.

    If one of them has the text as its name, it is the only one.
    """
    found = selectors.find_missions(Mission.objects.visible_to(user), ordering="-created_at", search=text)
    missions = list(found.only("name")[:MISSIONS_OFFERED])
    named = [mission for mission in missions if mission.name.casefold() == text.casefold()]
    return named if len(named) == 1 else missions


def _label(provider: str, endpoint: str) -> str:
    try:
        return catalog.get_model(endpoint, provider).label
    except catalog.UnknownModel:
        return endpoint


def _start_of(day: date) -> datetime:
    """Return the start of a day in the reader's time zone."""
    try:
        return timezone.make_aware(datetime.combine(day, time()))
    except OverflowError:
        return datetime.combine(day, time(), UTC)
