"""The actions of people and programs on missions.

Pages, API, admin and commands call these functions.

Arguments are keyword-only; ``actor`` names the caller ("user:7"). Invalid input raises
``MissionInvalid`` with all errors at once. An action that does not fit the current state raises
``NotPossible`` with a sentence for people, in the language of the request.

    validate    check and price a mission without storing it
    create      store a validated mission
    control     change, pause, resume, cancel, delete
    mend        correct failed items before they are retried
    corrections the same by the rows of a spreadsheet
    retry       submit failed items again, resolve unconfirmed ones
    rest        release or change the rows behind the first ones
    naming      name the result files by another pattern
    results     star and tag results
    versions    make results again, choose a version
    purge       remove the rows and files of a deleted mission
"""

from missions.services.control import (
    LimitReached,
    NeededLimit,
    NotReleased,
    Stopped,
    cancel_mission,
    change_mission,
    delete_mission,
    has_planned_start,
    limit_to_resume,
    missions_block_deletion,
    pause_after_key_change,
    pause_after_restore,
    pause_mission,
    pause_missions_of,
    resume_mission,
    start_mission,
    work_facts,
)
from missions.services.corrections import CorrectedRow, Corrections, apply_corrections, read_corrections
from missions.services.create import create_group, create_mission, submit_mission
from missions.services.mend import Replacement, edit_failed, replacements
from missions.services.naming import example_names, naming_problem, placeholders_of
from missions.services.purge import purge_mission
from missions.services.rest import ChangedRest, Released, RestChange, change_rest, release_mission
from missions.services.results import star_items, star_results, tag_items
from missions.services.retry import Retried, resolve_as_not_run, resolve_with_task, retry_failed, retry_item
from missions.services.validate import (
    MAX_ERRORS,
    Draft,
    MissionInvalid,
    choose_model,
    group_limit_errors,
    group_price,
    place_in_body,
    size_problem,
    validate_mission,
)
from missions.services.versions import NewVersions, again_problems, choose_version, make_again, price_again

__all__ = [
    "MAX_ERRORS",
    "ChangedRest",
    "CorrectedRow",
    "Corrections",
    "Draft",
    "LimitReached",
    "MissionInvalid",
    "NeededLimit",
    "NewVersions",
    "NotReleased",
    "Released",
    "Replacement",
    "RestChange",
    "Retried",
    "Stopped",
    "again_problems",
    "apply_corrections",
    "cancel_mission",
    "change_mission",
    "change_rest",
    "choose_model",
    "choose_version",
    "create_group",
    "create_mission",
    "delete_mission",
    "edit_failed",
    "example_names",
    "group_limit_errors",
    "group_price",
    "has_planned_start",
    "limit_to_resume",
    "make_again",
    "missions_block_deletion",
    "naming_problem",
    "pause_after_key_change",
    "pause_after_restore",
    "pause_mission",
    "pause_missions_of",
    "place_in_body",
    "placeholders_of",
    "price_again",
    "purge_mission",
    "read_corrections",
    "release_mission",
    "replacements",
    "resolve_as_not_run",
    "resolve_with_task",
    "resume_mission",
    "retry_failed",
    "retry_item",
    "size_problem",
    "star_items",
    "star_results",
    "start_mission",
    "submit_mission",
    "tag_items",
    "validate_mission",
    "work_facts",
]
