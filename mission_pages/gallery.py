"""``/missions/ID``: the gallery of a mission's results, and the parts that an open page reads.

With ``search`` it shows only the results that the index finds by these words, in the same orders.
Its order is remembered for each mission, and the look of its tiles for all of them, in cookies of
the browser.
"""

from __future__ import annotations

from contextlib import nullcontext
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.views.decorators.http import require_safe

from core.db.transactions import without_jit
from mission_pages import gallery_queries
from mission_pages.access import visible_mission
from mission_pages.forms import GalleryForm, number_ranges
from mission_pages.gallery_queries import ResultsPage, Words
from mission_pages.item_presenter import present_items
from mission_pages.mission import render_tab
from missions import lifecycle, selectors
from missions.models import Mission

RESULTS_PER_PAGE = 48
FETCHING_SHOWN = 200  # items whose files an open page waits for at a time
LATE = timedelta(seconds=5)  # a completion may be written so much later than it is dated
LATE_IN_INDEX = timedelta(minutes=1)  # and so much later the index has its words
ORDER_COOKIE, LOOK_COOKIE = "gallery_order", "gallery_look"
COOKIE_SECONDS = 180 * 86400


@login_required
@require_safe
def show_results(request: HttpRequest, mission_id: int) -> HttpResponse:
    """Show the gallery, in the order chosen for this mission or else one that fits its state."""
    mission = visible_mission(request, mission_id)
    form = GalleryForm(request.GET)
    chosen = form.value("view")
    view = chosen or request.COOKIES.get(ORDER_COOKIE, "")
    if view not in gallery_queries.VIEWS:
        is_live = mission.status in lifecycle.OPEN or mission.in_flight_count
        view = gallery_queries.NEWEST if is_live else gallery_queries.BATCH_ORDER
    context = _page_context(mission, form, view) | {"known_tags": selectors.known_tags(mission.owner_id)}
    response = render_tab(request, mission, "results", context | look_of(request, form))
    if chosen in (gallery_queries.NEWEST, gallery_queries.BATCH_ORDER):
        path = reverse("missions:mission", args=[mission_id])
        response.set_cookie(ORDER_COOKIE, chosen, path=path, **_cookie_options())
    remember_look(request, response, form)
    return response


@login_required
@require_safe
def show_tiles(request: HttpRequest, mission_id: int) -> HttpResponse:
    """Return a page of results alone, for an open gallery that shows more of them."""
    mission = visible_mission(request, mission_id)
    form = GalleryForm(request.GET)
    context = _page_context(mission, form, form.value("view") or gallery_queries.BATCH_ORDER)
    return render(request, "mission_pages/_tiles.html", {"mission": mission} | context)


@login_required
@require_safe
def show_numbers(request: HttpRequest, mission_id: int) -> HttpResponse:
    """Return the numbers of the results between two places, for a selection over many pages."""
    mission = visible_mission(request, mission_id)
    form = GalleryForm(request.GET)
    view = form.value("view") or gallery_queries.BATCH_ORDER
    numbers = gallery_queries.numbers_between(
        mission, view=view, first=form.value("from"), last=form.value("to"), words=_words(mission, form)
    )
    return JsonResponse({"item": number_ranges(sorted(numbers))})


def look_of(request: HttpRequest, form: GalleryForm) -> dict[str, str]:
    """Return the size of the tiles and the fit of their pictures: as chosen now or remembered."""
    size, _dash, fit = request.COOKIES.get(LOOK_COOKIE, "").partition("-")
    before = GalleryForm({"size": size, "fit": fit})
    return {
        "size": form.value("size") or before.value("size") or "medium",
        "fit": form.value("fit") or before.value("fit") or "fill",
    }


def remember_look(request: HttpRequest, response: HttpResponse, form: GalleryForm) -> None:
    """Remember a look that was chosen, for all galleries of the browser."""
    if form.value("size") or form.value("fit"):
        look = look_of(request, form)
        response.set_cookie(LOOK_COOKIE, f"{look['size']}-{look['fit']}", **_cookie_options())


def _cookie_options() -> dict[str, Any]:
    return {"max_age": COOKIE_SECONDS, "samesite": "Lax", "secure": settings.SESSION_COOKIE_SECURE}


def _page_context(mission: Mission, form: GalleryForm, view: str) -> dict[str, Any]:
    text = form.value("search") or ""
    # Before the query: what ends meanwhile is read again.
    since = gallery_queries.place_at(timezone.now() - (LATE_IN_INDEX if text else LATE))
    with without_jit() if text else nullcontext():
        words = _words(mission, form)
        page, total = _page(mission, form, view, words), gallery_queries.count(mission, view, words)
    fetching = gallery_queries.numbers_being_fetched(mission) if mission.completed_count else []
    return {
        "view": view,
        "form": form,
        "search": text,
        "and_search": f"&{urlencode({'search': text})}" if text else "",
        "page": page,
        "results": present_items(mission, page.items),
        "total": total,
        "since": since,
        "fetching_count": len(fetching),
        "fetching": number_ranges(fetching[:FETCHING_SHOWN]),
        "missing_number": _missing_number(form, page),
    }


def _words(mission: Mission, form: GalleryForm) -> Words | None:
    return gallery_queries.words_in(mission, form.value("search") or "")


def _page(mission: Mission, form: GalleryForm, view: str, words: Words | None) -> ResultsPage:
    limit = RESULTS_PER_PAGE
    if number := form.value("at"):
        return gallery_queries.results_from(mission, view=view, limit=limit, number=number, words=words)
    if (rank := form.value("skip")) is not None:
        return gallery_queries.results_at(mission, view=view, limit=limit, rank=rank, words=words)
    if numbers := form.value("item"):
        return gallery_queries.results_numbered(mission, numbers=numbers[:FETCHING_SHOWN])
    return gallery_queries.results_page(
        mission, view=view, limit=limit, after=form.value("after"), before=form.value("before"), words=words
    )


def _missing_number(form: GalleryForm, page: ResultsPage) -> int | None:
    """Return the number that a jump did not find."""
    number = form.value("at")
    return number if number and (not page.items or number not in (page.items[0].index, page.items[0].place)) else None
