"""The missions and items that the signed-in person may see."""

from __future__ import annotations

from django.http import HttpRequest
from django.shortcuts import get_object_or_404

from missions.models import Mission, MissionItem


def visible_mission(request: HttpRequest, mission_id: int) -> Mission:
    """Return the mission. Raises Http404 if the person may not see it."""
    return get_object_or_404(Mission.objects.visible_to(request.user).defer("metadata"), pk=mission_id)


def visible_item(request: HttpRequest, mission_id: int, index: int) -> MissionItem:
    """Return an item with its mission, by its number.

    Raises Http404 if the person may not see it.
    """
    mission = visible_mission(request, mission_id)
    item = get_object_or_404(mission.items.all(), index=index)
    item.mission = mission
    return item


def actor(request: HttpRequest) -> str:
    """Return the signed-in person as the services name an actor."""
    return f"user:{request.user.pk}"
