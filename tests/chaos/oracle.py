"""Checks of everything that must be true in the end.  What is not true is a ``Violation``.

The simulator is the witness: it records what it accepts, refuses and charges before it answers.
"""

from __future__ import annotations

import itertools
import math
import traceback
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files.storage import storages
from django.utils import timezone
from django_q.models import Task

from devtools import verification
from devtools.simulators.runninghub.process import SimulatorProcess
from devtools.simulators.runninghub.tasks import GONE, SUCCESS
from missions import lifecycle
from missions.account_load import slots_in_use
from missions.maintenance import reconcile_counts
from missions.models import (
    Attempt,
    AttemptStatus,
    ItemStatus,
    Mission,
    MissionItem,
    MissionStatus,
    Output,
    OutputStatus,
)
from providers.models import ProviderAccount
from tests.factories import check_mission

ALL_TASKS = 1_000_000
ITEM_ENDS = (ItemStatus.COMPLETED, ItemStatus.FAILED, ItemStatus.CANCELLED)
LATENESS = 2.0  # seconds in which the simulator writes down what was on the wire when a verb returned
# Codes that may end an item although its task has another state, or no submission arrived.
OWN_REASONS = {"deadline"}
BEFORE_SENDING = {"", "not_prepared"}
STATUS_CODES = {"cancel": "cancelled_remotely", "vanish": "gone", "empty": "no_result"}
# What a message may die of while the disk or the database does not work.
TROUBLE = ("OperationalError", "InterfaceError", "[Errno 27]")


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing that is not true, and what a person needs to find out why."""

    text: str
    mission: int | None = None
    item: str = ""
    events: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Stop:
    """A stop of a mission: from ``at`` to ``until`` only requests on the wire may arrive.

    ``prefix`` begins the mission's prompts. Moments are epoch seconds. ``still_sending`` is the
    number of requests on the wire that the stop reported; they may still arrive.
    """

    verb: str
    prefix: str
    at: float
    until: float = math.inf
    still_sending: int = 0


@dataclass(frozen=True, slots=True)
class Witness:
    """The simulator's records: accepted tasks, every submit, the most tasks of one key."""

    tasks: list[dict[str, Any]]
    submits: list[dict[str, Any]]
    most_at_once: int

    @classmethod
    def hear(cls, simulator: SimulatorProcess) -> Witness:
        most = simulator.stats()["max_in_flight"]
        return cls(simulator.tasks(limit=ALL_TASKS), simulator.submits(), most)

    @property
    def refusals(self) -> dict[str, set[str]]:
        """The codes with which each prompt's submits were refused."""
        found: dict[str, set[str]] = defaultdict(set)
        for submit in self.submits:
            if submit["refused"]:
                found[submit["prompt"]].add(submit["refused"].removeprefix("code_"))
        return found


def violations(
    missions: Iterable[Mission], witness: Witness, *, stops: Collection[Stop] = (), cap: int, had_trouble: bool = False
) -> Iterator[Violation]:
    """Yield every violation by these missions, and by what all missions share.

    ``cap`` is the most tasks that one key may have had at once.  ``had_trouble``: disk or database
    failed, so messages may have failed because of that.
    """
    for mission in missions:
        yield from ends(mission)
        yield from counts(mission)
        yield from payments(mission, witness)
        yield from reasons(mission, witness)
    yield from strangers(witness, stops)
    yield from files()
    yield from slots(witness, cap)
    yield from silence(witness, stops)
    yield from messages(had_trouble=had_trouble)


def about(text: str, *, mission: Mission | None = None, item: MissionItem | None = None) -> Violation:
    """Return a violation with the events that led to it."""
    if item is not None:
        mission = item.mission
    events = [] if mission is None else mission.events.filter(item=item)
    told = [
        f"{event.at:%H:%M:%S.%f} {event.from_status} → {event.to_status} {event.reason}".strip() for event in events
    ]
    return Violation(text, mission=mission.pk if mission else None, item=str(item or ""), events=told)


# --- Nothing is lost ---


def ends(mission: Mission) -> Iterator[Violation]:
    """Check that the mission and all items have ended, with every result stored."""
    if mission.status not in lifecycle.ENDED:
        yield about(f"The mission is {mission.status}, not ended.", mission=mission)
    for item in mission.items.exclude(status__in=ITEM_ENDS):
        yield about(f"The item is {item.status}, not ended.", item=item)
    for output in Output.objects.filter(item__mission=mission).exclude(status=OutputStatus.STORED):
        yield about(f"A result is {output.status}: {output.error_message}", item=output.item)
    silent = mission.items.filter(status=ItemStatus.COMPLETED, outputs__isnull=True)
    yield from (about("The item is completed and has no result.", item=item) for item in silent)


def counts(mission: Mission) -> Iterator[Violation]:
    """Check counts, money, attempts and the chain of events against the rows."""
    for difference in reconcile_counts.differences(Mission.objects.filter(pk=mission.pk)):
        yield about(str(difference), mission=mission)
    if mission.reserved_cost:
        yield about(f"{mission.reserved_cost} is still reserved.", mission=mission)
    try:
        check_mission(mission.pk)
    except AssertionError as error:
        line = traceback.extract_tb(error.__traceback__)[-1].line
        yield about(f"Not true: {line} {error}", mission=mission)


# --- Nothing is paid twice ---


def payments(mission: Mission, witness: Witness) -> Iterator[Violation]:
    """Check tasks against attempts: one each, a new one only after a failure, equal charges."""
    tasks = {task["id"]: task for task in witness.tasks}
    of_prompt: dict[str, set[str]] = defaultdict(set)
    for task in witness.tasks:
        of_prompt[_prompt(task)].add(task["id"])
    for item in _items(mission):
        attempts = list(item.attempts.order_by("number"))
        named = {attempt.remote_task_id for attempt in attempts} - {""}
        accepted = of_prompt[prompt_of(item)]
        lost = {task_id for task_id in accepted if tasks[task_id]["status"] == GONE}  # and not charged
        if accepted - named - lost:
            yield about(f"Paid for tasks that no attempt names: {sorted(accepted - named - lost)}", item=item)
        if named - accepted:
            yield about(f"Attempts name tasks that were never accepted: {sorted(named - accepted)}", item=item)
        succeeded = [task_id for task_id in named & accepted if tasks[task_id]["status"] == SUCCESS]
        empty = sum(tasks[task_id]["outcome"] == "empty" for task_id in succeeded)
        if len(succeeded) - min(empty, item.retry_count) > 1:  # a person may have tried again what had no result
            yield about(f"Paid twice: more than one of its tasks succeeded: {sorted(named)}", item=item)
        for before, after in itertools.pairwise(attempts):
            if before.status not in (AttemptStatus.FAILED, AttemptStatus.REFUSED, AttemptStatus.VOID):
                yield about(f"Attempt {after.number} follows one that is {before.status}.", item=item)
        for attempt in attempts:
            charge = _charge(tasks.get(attempt.remote_task_id))
            if (attempt.cost or 0) != charge and attempt.error_code not in OWN_REASONS:
                yield about(f"Attempt {attempt.number} cost {attempt.cost}, the simulator charged {charge}.", item=item)


def strangers(witness: Witness, stops: Collection[Stop]) -> Iterator[Violation]:
    """No task was paid for an item that does not exist, unless its mission was deleted."""
    deleted = tuple(stop.prefix for stop in stops if stop.verb == "delete")
    known = {prompt_of(item) for mission in Mission.objects.all() for item in _items(mission)}
    for task in witness.tasks:
        if _prompt(task) not in known and not _prompt(task).startswith(deleted):
            yield Violation(f"Task {task['id']} was paid for no item: {_prompt(task)!r}")


def _charge(task: dict[str, Any] | None) -> Decimal:
    return Decimal(task["price"]) if task and task["status"] == SUCCESS else Decimal(0)


# --- Every reason is true ---


def reasons(mission: Mission, witness: Witness) -> Iterator[Violation]:
    """Check that each item's reason is what happened at the simulator."""
    tasks, refusals = {task["id"]: task for task in witness.tasks}, witness.refusals
    for item in _items(mission):
        last = item.attempts.order_by("number").last()
        task = tasks.get(last.remote_task_id) if last else None
        if item.status == ItemStatus.COMPLETED and (task is None or task["outcome"] != "success"):
            yield about(f"Completed, but the simulator says {task and task['outcome']}.", item=item)
        if item.status == ItemStatus.CANCELLED and mission.status != MissionStatus.CANCELLED:
            yield about(f"Cancelled in a mission that is {mission.status}.", item=item)
        if item.status == ItemStatus.FAILED:
            yield from _false_reason(item, last, task, refusals[prompt_of(item)])


def _false_reason(
    item: MissionItem, last: Attempt | None, task: dict[str, Any] | None, refused: set[str]
) -> Iterator[Violation]:
    code = item.error_code.removeprefix("http_")
    if not item.error_message or last is None:
        yield about("Failed without a reason.", item=item)
    elif task is not None:
        true = STATUS_CODES.get(task["outcome"], task["outcome"])
        if code != true and code not in OWN_REASONS:
            yield about(f"Failed with {item.error_code}, but its task ended with {true}.", item=item)
    elif last.status != AttemptStatus.REFUSED:
        yield about(f"Failed without a task, and its last attempt is {last.status}.", item=item)
    elif last.sending_at and code not in refused | BEFORE_SENDING:
        yield about(f"Failed with {item.error_code}, but the simulator refused with {sorted(refused)}.", item=item)


# --- Files ---


def files() -> Iterator[Violation]:
    """Check that results and files match, unchanged and of the right type, without leftovers."""
    yield from map(Violation, verification.files(Mission.objects.all()))
    root = Path(storages["results"].location)  # type: ignore[attr-defined]
    on_disk = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    stored = Output.objects.filter(status=OutputStatus.STORED).values_list("file", "thumbnail")
    in_rows = {name for names in stored for name in names if name}
    yield from (Violation(f"The file {name} has no row.") for name in sorted(on_disk - in_rows))
    yield from (Violation(f"The row of {name} has no file.") for name in sorted(in_rows - on_disk))
    for path in Path(settings.DATA_DIR, "tmp").glob("*.part"):
        yield Violation(f"Part of a download is left: {path.name}")


# --- What all missions share ---


def slots(witness: Witness, cap: int) -> Iterator[Violation]:
    """No key ever had more tasks than it may, and no slot is held when nothing is in flight."""
    if witness.most_at_once > cap:
        yield Violation(f"{witness.most_at_once} tasks of one key were in flight at once; {cap} were allowed.")
    for account in ProviderAccount.objects.all():
        held = slots_in_use(account, now=timezone.now(), limit=cap)
        if held:
            yield Violation(f"{held} slots of account {account} are held, and everything has ended.")


def silence(witness: Witness, stops: Collection[Stop]) -> Iterator[Violation]:
    """Check that nothing was submitted after a stop except the requests on the wire."""
    for stop in stops:
        late = [
            submit
            for submit in witness.submits
            if submit["prompt"].startswith(stop.prefix) and stop.at + LATENESS < submit["at"] < stop.until
        ]
        for submit in late[stop.still_sending :]:
            after = submit["at"] - stop.at
            yield Violation(f"{submit['prompt']!r} was submitted {after:.1f} s after {stop.verb} had returned.")


def messages(*, had_trouble: bool) -> Iterator[Violation]:
    """No message ended in an exception, except for want of a disk or a database."""
    for result in Task.objects.filter(success=False).values_list("result", flat=True):
        text = str(result).strip()
        if not (had_trouble and any(word in text for word in TROUBLE)):
            yield Violation(f"A worker's task failed: {text[-2000:]}")


# --- Looks ---


def prompt_of(item: MissionItem) -> str:
    """Return the parameters an item is sent with, including the mission's shared ones."""
    return str((item.mission.params | item.params).get("prompt", ""))


def _prompt(task: dict[str, Any]) -> str:
    return str(task["params"].get("prompt", ""))


def _items(mission: Mission) -> Iterable[MissionItem]:
    return mission.items.select_related("mission").order_by("index")
