"""Show the progress of missions in a terminal until they have ended."""

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

REFRESH_SECONDS = 0.3
LINE_SECONDS = 2.0  # without a terminal: at most one line per mission in this time
NO_WORKERS_SECONDS = 20.0


class Halted(Exception):
    """The missions cannot continue without a person. The message says why."""


@dataclass(frozen=True, slots=True)
class MissionState:
    """The state of a mission. ``pending_files`` are paid results that are not stored yet."""

    mission: Mission
    pending_files: int

    @property
    def is_over(self) -> bool:
        """True if nothing more happens without a person, as with unconfirmed items."""
        return not (self.mission.may_run_count or self.mission.in_flight_count or self.pending_files)

    @property
    def ended_count(self) -> int:
        mission = self.mission
        return mission.total_count - mission.pending_count - mission.in_flight_count

    def __str__(self) -> str:
        mission = self.mission
        parts = [
            (mission.in_flight_count, "in flight"),
            (mission.may_run_count, "pending"),
            (mission.held_count, "waiting for a release"),
            (mission.completed_count, "completed"),
            (mission.failed_count, "failed"),
            (mission.unconfirmed_count, "unconfirmed"),
            (mission.cancelled_count, "cancelled"),
            (self.pending_files, "files to download"),
        ]
        return ", ".join(f"{count} {word}" for count, word in parts if count)


def mission_states(mission_ids: Sequence[int]) -> list[MissionState]:
    """Return the current state of missions, in the order of their ids."""
    pending = Count("items__outputs", filter=Q(items__outputs__status=OutputStatus.PENDING))
    file_counts = dict(Mission.objects.filter(pk__in=mission_ids).order_by("pk").values_list("pk").annotate(n=pending))
    missions = Mission.objects.filter(pk__in=mission_ids).order_by("pk")
    return [MissionState(mission, file_counts[mission.pk]) for mission in missions if mission.pk in file_counts]


def follow(mission_ids: Sequence[int], console: Console, *, sees_keys: bool = True) -> None:
    """Show the progress of missions until they have ended and every file is stored or lost.

    ``sees_keys``: the workers have the keys of this process; others may have their own. Raises
    Halted when the missions cannot continue without a person.
    """
    watchdog = _Watchdog(sees_keys=sees_keys)
    with _display(console) as display:
        while True:
            states = mission_states(mission_ids)
            display.show(states)
            if all(state.is_over for state in states):
                return
            watchdog.check(states)
            time.sleep(REFRESH_SECONDS)


class _Watchdog:
    """A check whether missions can continue."""

    def __init__(self, *, sees_keys: bool) -> None:
        self.sees_keys = sees_keys
        self.last_alive = time.monotonic()

    def check(self, states: Sequence[MissionState]) -> None:
        """Raise Halted if the workers are gone, or no open mission can go on."""
        if heartbeat.is_any_alive():
            self.last_alive = time.monotonic()
        elif time.monotonic() - self.last_alive > NO_WORKERS_SECONDS:
            raise Halted("The workers have stopped.")
        open_missions = [state.mission for state in states if not state.is_over]
        if any(mission.in_flight_count for mission in open_missions):
            return
        for mission in (mission for mission in open_missions if mission.may_run_count):
            if mission.status == MissionStatus.PAUSED:
                raise Halted(f"The mission is paused: {mission.pause_reason}")
            accounts = list(ProviderAccount.objects.filter(provider=mission.provider))
            stopped = [account for account in accounts if account.paused_at or account.is_draining]
            disabled = [account for account in accounts if not account.is_enabled]
            if not self.sees_keys and len({*stopped, *disabled}) < len(accounts):
                continue  # the workers may have been started with a key that this process lacks
            if blocked := provider_accounts.describe_blocked(accounts):
                reasons = " ".join(account.pause_reason for account in accounts if account.paused_at)
                raise Halted(f"No account can be used: {blocked}. {reasons}".strip())


# --- Display ---


class _Display(Protocol):
    def show(self, states: Sequence[MissionState]) -> None: ...


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
        TextColumn("{task.fields[state]}", markup=False),
    )
    with Progress(*columns, console=console) as progress:
        yield _Bars(progress)


class _Bars:
    """A bar per mission."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.tasks: dict[int, TaskID] = {}

    def show(self, states: Sequence[MissionState]) -> None:
        for state in states:
            mission = state.mission
            if mission.pk not in self.tasks:
                name = mission.name[:16].replace("[", "(")  # rich would parse brackets as markup
                self.tasks[mission.pk] = self.progress.add_task(name, total=mission.total_count, state="")
            task = self.tasks[mission.pk]
            total = mission.total_count + (1 if state.pending_files else 0)  # the clock runs until all files are stored
            self.progress.update(task, completed=state.ended_count, total=total, state=str(state))


class _Lines:
    """A line per mission and change, for output that is not a terminal."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.lines: dict[int, str] = {}
        self.printed_at: dict[int, float] = {}

    def show(self, states: Sequence[MissionState]) -> None:
        for state in states:
            pk, text = state.mission.pk, str(state)
            is_due = state.is_over or time.monotonic() - self.printed_at.get(pk, 0.0) > LINE_SECONDS
            if is_due and text != self.lines.get(pk):
                self.lines[pk], self.printed_at[pk] = text, time.monotonic()
                self.console.print(f"{state.mission.name}: {text}")
