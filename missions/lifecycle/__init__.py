"""The only code that writes a status.

Every move is a compare-and-swap: it names the statuses that it may come from, changes the row only
if it still has one of them, and writes an event. A caller that loses the race gets ``LostRace`` (or
False) and stops.

Locks are taken in the order account, a person's spending limit, mission, item, attempt. A move
locks its mission's row first. That keeps the counts and the reserved money in step with the items,
gives the events of one mission ids in the order of time, and prevents a worker from sending after a
person has stopped the mission.

    moves       locks, and the compare-and-swap of missions, items and attempts
    missions    open, start, pause, resume, cancel, request deletion
    items       claim for a provider account, retry after a failure, make again, choose a version
    attempts    submission, acceptance, refusal, success and failure
    outputs     downloads and their ends
"""

from missions.lifecycle.attempts import (
    Acceptance,
    NewOutput,
    Success,
    accept,
    add_text,
    fail,
    mark_sending,
    mark_unconfirmed,
    mark_unreachable,
    refuse,
    succeed,
    void_unconfirmed,
    withdraw,
)
from missions.lifecycle.items import (
    add_versions,
    choose_version,
    claim,
    latest_versions,
    mission_budget,
    retry_failed,
    versions_of,
)
from missions.lifecycle.missions import (
    cancel,
    change_held,
    held_items,
    open_mission,
    pause,
    release,
    request_deletion,
    resume,
    start_now,
    start_scheduled,
)
from missions.lifecycle.moves import BATCH, ENDED, ENGINE, HELD_UNTIL, LIMIT_CODES, OPEN, RUNNABLE, LostRace
from missions.lifecycle.outputs import abandon_outputs, claim_downloads, lose_output, remove_outputs, store_outputs

__all__ = [
    "BATCH",
    "ENDED",
    "ENGINE",
    "HELD_UNTIL",
    "LIMIT_CODES",
    "OPEN",
    "RUNNABLE",
    "Acceptance",
    "LostRace",
    "NewOutput",
    "Success",
    "abandon_outputs",
    "accept",
    "add_text",
    "add_versions",
    "cancel",
    "change_held",
    "choose_version",
    "claim",
    "claim_downloads",
    "fail",
    "held_items",
    "latest_versions",
    "lose_output",
    "mark_sending",
    "mark_unconfirmed",
    "mark_unreachable",
    "mission_budget",
    "open_mission",
    "pause",
    "refuse",
    "release",
    "remove_outputs",
    "request_deletion",
    "resume",
    "retry_failed",
    "start_now",
    "start_scheduled",
    "store_outputs",
    "succeed",
    "versions_of",
    "void_unconfirmed",
    "withdraw",
]
