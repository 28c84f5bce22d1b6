"""Stacks: all versions of a row, for pages that show one of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from django.db.models import Q

from missions.models import MissionItem


def load_stacks(items: Sequence[MissionItem]) -> None:
    """Give each item its ``stack`` and ``latest_version``, in one to three statements.

    ``stack`` holds all versions of its row with their outputs, oldest first; it is empty if there
    is only one. ``latest_version`` is the number of the newest. Items may be of several missions.
    """
    missions = {item.mission_id: item.mission for item in items}
    places = {item.place for item in items}
    later = MissionItem.objects.filter(mission__in=missions, first_index__in=places)
    stacks: defaultdict[tuple[int, int], list[MissionItem]] = defaultdict(list)
    if items and later.exists():
        versions = MissionItem.objects.filter(
            Q(first_index__in=places) | Q(index__in=places, first_index=None), mission__in=missions
        )
        for version in versions.order_by("version").prefetch_related("outputs"):
            version.mission = missions[version.mission_id]
            stacks[version.mission_id, version.place].append(version)
    for item in items:
        stack = stacks[item.mission_id, item.place]
        item.stack = stack if len(stack) > 1 else []  # type: ignore[attr-defined]
        item.latest_version = stack[-1].version if stack else item.version  # type: ignore[attr-defined]
