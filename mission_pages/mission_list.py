"""``/missions``: the missions that a person may see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from mission_pages import gallery_queries
from mission_pages.forms import MissionFilterForm
from mission_pages.throughput import COMPLETIONS_SEEN, Pace, pace_of
from missions import lifecycle, selectors
from missions.models import Mission, Output

PAGE_SIZE = 12
PICTURES_PER_CARD = 5


@dataclass(frozen=True, slots=True)
class Card:
    """A mission with its progress and its newest pictures."""

    mission: Mission
    pace: Pace
    pictures: Sequence[Output]


@login_required
@require_safe
def show_list(request: HttpRequest) -> HttpResponse:
    """Show a page of missions. The filters are part of the URL."""
    form = MissionFilterForm(request.GET, folders=selectors.folders_of(cast(User, request.user).pk))
    missions = selectors.find_missions(Mission.objects.visible_to(request.user), **form.filters)
    page = Paginator(missions.select_related("owner"), PAGE_SIZE).get_page(request.GET.get("page"))
    with_results = [mission.pk for mission in page if mission.completed_count]
    completions = gallery_queries.recent_completions(with_results, limit=COMPLETIONS_SEEN)
    pictures = gallery_queries.newest_pictures(completions, limit=PICTURES_PER_CARD)
    now = timezone.now()
    context = {
        "form": form,
        "page": page,
        "cards": [
            Card(mission, pace_of(mission, completions.get(mission.pk, ()), now=now), pictures.get(mission.pk, ()))
            for mission in page
        ],
        "is_live": any(mission.status in lifecycle.OPEN or mission.in_flight_count for mission in page),
    }
    return render(request, "mission_pages/list.html", context)
