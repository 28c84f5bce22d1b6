"""Whose mission it is, and who asks."""

from __future__ import annotations

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from django.utils.http import url_has_allowed_host_and_scheme

from missions.models import Mission, MissionItem


def visible_mission(request: HttpRequest, mission_id: int) -> Mission:
    """The mission, if the signed-in person may see it.  Raises Http404."""
    return get_object_or_404(Mission.objects.visible_to(request.user).defer("metadata"), pk=mission_id)


def visible_item(request: HttpRequest, mission_id: int, index: int) -> MissionItem:
    """The item at a place of a mission that the person may see, with its mission.  Raises Http404."""
    mission = visible_mission(request, mission_id)
    item = get_object_or_404(mission.items.all(), index=index)
    item.mission = mission
    return item


def actor(request: HttpRequest) -> str:
    """Who acts, as the services want to know it."""
    return f"user:{request.user.pk}"


def way_back(request: HttpRequest, otherwise: str) -> str:
    """The page that the form names as ``next``, if it is one of ours."""
    given = request.POST.get("next") or request.GET.get("next") or ""
    return given if given.startswith("/") and url_has_allowed_host_and_scheme(given, allowed_hosts=None) else otherwise
