"""Watching missions from a terminal until nothing of them is left to do."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from django.db.models import Count, Q
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from missions.models import Mission, MissionStatus, OutputStatus
from providers import provider_accounts
from providers.models import ProviderAccount
from workers import heartbeat

LOOK_SECONDS = 0.3
LINE_SECONDS = 2.0  # without a terminal: no more than a line per mission in this time
NO_WORKERS_SECONDS = 20.0


class Halted(Exception):
    """Nothing moves any more, although there is work left.  The message says why."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a mission stands.  ``waiting_files`` are results that are paid and not yet fetched."""

    mission: Mission
    waiting_files: int

    @property
    def is_over(self) -> bool:
        """Nothing will change without a person.  (Unconfirmed items are a person's to resolve.)"""
        return not (self.mission.pending_count or self.mission.in_flight_count or self.waiting_files)

    @property
    def ended_count(self) -> int:
        mission = self.mission
        return mission.total_count - mission.pending_count - mission.in_flight_count

    def __str__(self) -> str:
        mission = self.mission
        parts = [
            (mission.in_flight_count, "in flight"),
            (mission.pending_count, "waiting"),
            (mission.completed_count, "completed"),
            (mission.failed_count, "failed"),
            (mission.unconfirmed_count, "unconfirmed"),
            (mission.cancelled_count, "cancelled"),
            (self.waiting_files, "files to fetch"),
        ]
        return ", ".join(f"{count} {word}" for count, word in parts if count)


def standings(mission_ids: Sequence[int]) -> list[Standing]:
    """How missions stand now, in the order of their ids."""
    pending = Count("items__outputs", filter=Q(items__outputs__status=OutputStatus.PENDING))
    waiting = dict(Mission.objects.filter(pk__in=mission_ids).order_by("pk").values_list("pk").annotate(n=pending))
    missions = Mission.objects.filter(pk__in=mission_ids).order_by("pk")
    return [Standing(mission, waiting[mission.pk]) for mission in missions if mission.pk in waiting]


def follow(mission_ids: Sequence[int], console: Console) -> None:
    """Show how missions go on, and return when nothing of them is left to do and every file is stored or lost.

    Raises Halted when they cannot go on without a person.
    """
    watchdog = _Watchdog()
    with _display(console) as display:
        while True:
            now = standings(mission_ids)
            display.show(now)
            if all(standing.is_over for standing in now):
                return
            watchdog.look(now)
            time.sleep(LOOK_SECONDS)


class _Watchdog:
    """Finds out why missions stand still."""

    def __init__(self) -> None:
        self.last_alive = time.monotonic()

    def look(self, now: Sequence[Standing]) -> None:
        """Raises Halted."""
        if heartbeat.is_any_alive():
            self.last_alive = time.monotonic()
        elif time.monotonic() - self.last_alive > NO_WORKERS_SECONDS:
            raise Halted("The workers have ended.")
        open_missions = [standing.mission for standing in now if not standing.is_over]
        if any(mission.in_flight_count for mission in open_missions):
            return
        for mission in open_missions:
            if mission.pending_count:
                _require_way(mission)


def _require_way(mission: Mission) -> None:
    if mission.status == MissionStatus.PAUSED:
        raise Halted(f"The mission is paused: {mission.pause_reason}")
    accounts = ProviderAccount.objects.filter(provider=mission.provider)
    if told := provider_accounts.describe_blocked(accounts):
        reasons = " ".join(account.pause_reason for account in accounts if account.paused_at)
        raise Halted(f"No account can be used: {told}. {reasons}".strip())


# --- Showing ---


class _Display(Protocol):
    def show(self, now: Sequence[Standing]) -> None: ...


@contextlib.contextmanager
def _display(console: Console) -> Iterator[_Display]:
    if not console.is_terminal:
        yield _Lines(console)
        return
    columns = (
        TextColumn("{task.description:<16}"),
        BarColumn(bar_width=28),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[said]}", markup=False),
    )
    with Progress(*columns, console=console) as progress:
        yield _Bars(progress)


class _Bars:
    """A bar per mission."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.tasks: dict[int, TaskID] = {}

    def show(self, now: Sequence[Standing]) -> None:
        for standing in now:
            mission = standing.mission
            if mission.pk not in self.tasks:
                name = mission.name[:16].replace("[", "(")  # rich would read what is in brackets
                self.tasks[mission.pk] = self.progress.add_task(name, total=mission.total_count, said="")
            task = self.tasks[mission.pk]
            total = mission.total_count + (1 if standing.waiting_files else 0)  # the clock goes on until files are here
            self.progress.update(task, completed=standing.ended_count, total=total, said=str(standing))


class _Lines:
    """A line per mission and change, for logs."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.said: dict[int, str] = {}
        self.said_at: dict[int, float] = {}

    def show(self, now: Sequence[Standing]) -> None:
        for standing in now:
            pk, text = standing.mission.pk, str(standing)
            is_due = standing.is_over or time.monotonic() - self.said_at.get(pk, 0.0) > LINE_SECONDS
            if is_due and text != self.said.get(pk):
                self.said[pk], self.said_at[pk] = text, time.monotonic()
                self.console.print(f"{standing.mission.name}: {text}")
