"""Lookups that several admin lists of missions share."""

from __future__ import annotations

import re

from django.db.models import QuerySet
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from missions.models import Attempt, Mission
from providers.models import ProviderAccount

_ITEM_NAME = re.compile(r"([0-9]{1,18})#([0-9]{1,9})")


def attempts_with_task(task_id: str) -> QuerySet[Attempt]:
    """Return the attempts with a provider's task id.

    Read by the index over account and task, which leaves out attempts without a task: SQLite uses
    it only when the query says so.
    """
    accounts = ProviderAccount.objects.values("pk")
    return Attempt.objects.filter(account__in=accounts, remote_task_id=task_id).exclude(remote_task_id="")


def parse_item_name(word: str) -> tuple[int, int] | None:
    """Return the mission's and the item's number of a name like ``12#5``, or None."""
    match = _ITEM_NAME.fullmatch(word.strip())
    return (int(match[1]), int(match[2])) if match else None


def mission_link(mission: Mission) -> SafeString:
    address = reverse("admin:missions_mission_change", args=[mission.pk])
    return format_html('<a class="admin-name" href="{}">{}</a>', address, mission.name)
