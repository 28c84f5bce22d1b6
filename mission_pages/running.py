"""Items that run now, with their progress and the text that is being written."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from mission_pages.item_presenter import ItemView, present_items
from missions.models import Attempt, AttemptStatus, ItemEvent, ItemStatus, Mission, MissionItem
from providers.adapters.registry import PROVIDERS

IN_FLIGHT = (ItemStatus.SUBMITTING, ItemStatus.PROCESSING)


@dataclass(frozen=True, slots=True)
class RunningItem:
    """An item in flight.

    ``progress``  of its attempt, from 0 to 1; None if it is not reported
    ``text``      what the attempt ``attempt_number`` has written so far
    ``after``     id of the event with the latest piece of it, 0 without text: a page appends the
                  pieces of later events
    """

    view: ItemView
    attempt_number: int
    progress: float | None
    text: str
    after: int


def shows_running(mission: Mission) -> bool:
    """Return True if the mission's provider reports progress or streams text."""
    provider = PROVIDERS.get(mission.provider)
    return provider is not None and (provider.capabilities.reports_progress or provider.capabilities.streams_text)


def running_items(mission: Mission, *, limit: int) -> list[RunningItem]:
    """Return the first items in flight, in the order of the batch, in three statements.

    None are read if the provider has nothing to show of them.
    """
    if not mission.in_flight_count or not shows_running(mission):
        return []
    return present_running(mission, list(mission.items.filter(status__in=IN_FLIGHT).order_by("index")[:limit]))


def present_running(mission: Mission, items: Sequence[MissionItem]) -> list[RunningItem]:
    """Return those of the items that are in flight, with their progress and text."""
    items = [item for item in items if item.status in IN_FLIGHT]
    live = Attempt.objects.filter(item__in=items, status__in=[AttemptStatus.SENDING, AttemptStatus.RUNNING])
    attempts = {item: (number, progress) for item, number, progress in live.values_list("item", "number", "progress")}
    pieces: defaultdict[tuple[int | None, int | None], list[tuple[int, str]]] = defaultdict(list)
    if mission.provider in PROVIDERS and PROVIDERS[mission.provider].capabilities.streams_text:
        events = ItemEvent.objects.filter(item__in=items).exclude(text="").order_by("pk")
        for item_id, number, pk, text in events.values_list("item", "attempt_number", "pk", "text"):
            pieces[item_id, number].append((pk, text))
    running = []
    for view in present_items(mission, items):
        number, progress = attempts.get(view.item.pk, (view.item.submission_count, None))
        written = pieces[view.item.pk, number]
        text = "".join(text for _pk, text in written)
        running.append(RunningItem(view, number, progress, text, written[-1][0] if written else 0))
    return running
