"""Whose mission it is, and who asks."""

from __future__ import annotations

from django.http import HttpRequest
from django.shortcuts import get_object_or_404

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
