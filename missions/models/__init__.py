"""The models of missions and their relations.

    Mission ──< MissionItem ──< Attempt ──< Output    Mission ──< MediaUse >── MediaFile
       └────────────┴──────────< ItemEvent            ProviderAccount ──< Attempt, ProviderUpload

Only ``missions.lifecycle`` writes a status. The constraints make the costly mistakes impossible in
any case: an item has at most one live attempt, a remote task belongs to one attempt, and a
mission's counts add up to its total.
"""

from missions.models.attempt import COST_UNREPORTED, LIVE_ATTEMPTS, Attempt, AttemptStatus, new_webhook_token
from missions.models.event import ItemEvent
from missions.models.item import ItemStatus, ItemTag, MissionItem
from missions.models.mission import Mission, MissionQuerySet, MissionStatus
from missions.models.output import Output, OutputStatus, OutputUse
from missions.models.search import PromptEntry, ResultEntry, SearchDay, SearchState, SearchWord
from missions.models.spending import HourlySpend, RemovedSpending, Tally

__all__ = [
    "COST_UNREPORTED",
    "LIVE_ATTEMPTS",
    "Attempt",
    "AttemptStatus",
    "HourlySpend",
    "ItemEvent",
    "ItemStatus",
    "ItemTag",
    "Mission",
    "MissionItem",
    "MissionQuerySet",
    "MissionStatus",
    "Output",
    "OutputStatus",
    "OutputUse",
    "PromptEntry",
    "RemovedSpending",
    "ResultEntry",
    "SearchDay",
    "SearchState",
    "SearchWord",
    "Tally",
    "new_webhook_token",
]
