"""``/shared/TOKEN``: results as people without an account see them.

Whoever has the address may see them. A page names neither costs nor people, and prompts only if the
link says so. Every request asks anew whether the link still works.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django import forms
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from core.errors import NotPossible
from mission_pages.item_presenter import present_items
from missions.api.outputs import file_response, thumbnail_response
from missions.api.results import archive_response
from missions.models import MissionItem, Output, OutputStatus
from missions.results.export import download_name
from missions.results.names import file_name, file_name_without_prompt
from missions.results.zip_archive import Bundle
from sharing import services
from sharing.models import ShareLink

RESULTS_PER_PAGE = 48
CACHE = "private, max-age=300"  # of files: after so long a link that was withdrawn shows nothing


class PickForm(forms.Form):
    """A mark on one result, as the star buttons of a gallery send it."""

    item = forms.IntegerField(min_value=1, max_value=2**31 - 1)


def with_link(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Give a view the link of its token, or answer with a page that says why it does not work."""

    @wraps(view)
    def respond(request: HttpRequest, link_token: str, **numbers: int) -> HttpResponseBase:
        try:
            link = services.find_link(link_token)
        except Http404:
            response: HttpResponseBase = render(request, "sharing/ended.html", {"is_unknown": True}, status=404)
        except services.LinkEnded:
            response = render(request, "sharing/ended.html", status=410)
        else:
            response = view(request, link, **numbers)
        response["X-Robots-Tag"] = "noindex, nofollow"  # the address is a key: search engines must not show it
        return response

    return respond


@require_safe
@with_link
def show_shared(request: HttpRequest, link: ShareLink) -> HttpResponse:
    """Show the results, or only the starred ones."""
    services.count_opening(link)
    return render(request, "sharing/shared.html", _context(request, link))


@require_safe
@with_link
def show_tiles(request: HttpRequest, link: ShareLink) -> HttpResponse:
    """Return a page of results alone, for an open gallery that shows more of them."""
    return render(request, "sharing/_tiles.html", _context(request, link))


@require_POST
@with_link
def pick(request: HttpRequest, link: ShareLink) -> HttpResponse:
    """Star a result, or take the star away. A script gets JSON."""
    form = PickForm(request.POST)
    if not form.is_valid():
        return JsonResponse({"message": _("Name one result by its number.")}, status=422)
    try:
        services.pick(link, form.cleaned_data["item"], is_picked=request.POST.get("starred") != "0")
    except NotPossible as refusal:
        return JsonResponse({"message": str(refusal)}, status=409)
    if request.headers.get("Accept") == "application/json":
        return JsonResponse({"count": link.picks.count()})
    return redirect("sharing:shared", link.token)


@require_safe
@with_link
def download_all(request: HttpRequest, link: ShareLink) -> HttpResponseBase:
    """Return all shared files as one archive, without the manifest, which has costs and prompts."""
    if not link.allows_download:
        raise Http404
    bundle = Bundle(link.mission, services.shared_indexes(link), has_manifest=False, name_of=_name_of(link))
    return archive_response(request, bundle, download_name(link.mission, ".zip"))


@require_safe
@with_link
def show_file(request: HttpRequest, link: ShareLink, index: int, number: int) -> HttpResponseBase:
    """Return a shared file."""
    output = _output(link, index, number)
    response = file_response(request, output, _name_of(link)(output.item, output))
    response["Cache-Control"] = CACHE
    return response


@require_safe
@with_link
def show_thumbnail(request: HttpRequest, link: ShareLink, index: int, number: int) -> HttpResponseBase:
    """Return the small picture of a shared file."""
    output = _output(link, index, number)
    response = thumbnail_response(request, output, _name_of(link)(output.item, output))
    response["Cache-Control"] = CACHE
    return response


def _name_of(link: ShareLink) -> Callable[[MissionItem, Output], str]:
    """Return what names shared files: without prompts, unless the link shows them."""
    return file_name if link.shows_prompts else file_name_without_prompt


def _output(link: ShareLink, index: int, number: int) -> Output:
    item = services.shared_item(link, index)
    output = get_object_or_404(item.outputs.filter(status=OutputStatus.STORED), index=number)
    output.item = item
    return output


def _context(request: HttpRequest, link: ShareLink) -> dict[str, Any]:
    only_picks = request.GET.get("view") == "starred" and link.allows_picks
    page = services.shared_page(link, limit=RESULTS_PER_PAGE, after=request.GET.get("after", ""), only_picks=only_picks)
    return {
        "link": link,
        "page": page,
        "results": present_items(link.mission, page.items),
        "picked": set(link.picks.filter(item__in=page.items).values_list("item", flat=True)),
        "pick_count": link.picks.count(),
        "only_picks": only_picks,
    }
