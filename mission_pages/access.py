"""The missions and items that the signed-in person may see."""

from __future__ import annotations

from decimal import Decimal

from django.db.models import QuerySet
from django.http import HttpRequest
from django.shortcuts import get_object_or_404

from accounts import rights
from accounts.rights import Action
from missions.models import Mission, MissionItem
from providers import provider_accounts


def visible_mission(request: HttpRequest, mission_id: int, action: Action = Action.VIEW) -> Mission:
    """Return the mission.

    Raises Http404 if the person may not see it, NotAllowed if they may not do ``action`` to it.
    """
    mission = get_object_or_404(Mission.objects.visible_to(request.user).defer("metadata"), pk=mission_id)
    rights.require(request.user, action, mission)
    return mission


def visible_item(request: HttpRequest, mission_id: int, index: int, action: Action = Action.VIEW) -> MissionItem:
    """Return an item with its mission, by its number.

    Raises Http404 if the person may not see it, NotAllowed if they may not do ``action`` to it.
    """
    mission = visible_mission(request, mission_id, action)
    item = get_object_or_404(mission.items.all(), index=index)
    item.mission = mission
    return item


def balances_of(request: HttpRequest, mission: Mission, price: Decimal | None) -> list[provider_accounts.Balances]:
    """Return the balances at a mission's provider that the person may see, for ``price`` there."""
    if not mission.currency:
        return []
    found = provider_accounts.balances(mission.provider, request.user, price=price, currency=mission.currency)
    return [found] if found else []


def group_of(mission: Mission) -> QuerySet[Mission]:
    """Return the missions that were submitted together, this one among them, in their order.

    They have one owner, so whoever sees one sees all.
    """
    same = {"group": mission.group} if mission.group else {"pk": mission.pk}
    return Mission.objects.filter(owner=mission.owner_id, delete_requested_at=None, **same).order_by("pk")


def actor(request: HttpRequest) -> str:
    """Return the signed-in person as the services name an actor."""
    return f"user:{request.user.pk}"
