"""Change, pause, resume, cancel and delete missions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_UP, Decimal
from types import EllipsisType
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Count, QuerySet, Sum
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from accounts import people
from accounts.audit import services as audit
from accounts.audit.models import Verb
from billing.models import SpendingLimit
from billing.selectors import budget_of
from core.db.reasons import translate
from core.errors import FieldError, NotPossible
from core.money import MILLIONTH, amount_text, money_text
from core.text import trim
from missions import charges, failures, lifecycle, reasons, search
from missions.models import ItemStatus, Mission, MissionStatus
from missions.services.naming import naming_problem, rename_files, usual_pattern
from missions.services.purge import purge_mission
from missions.services.validate import MissionInvalid, limit_errors, text_errors
from providers import catalog, provider_accounts
from providers.adapters.registry import PROVIDERS
from workers import queue

_REFUSALS = {
    "pause": gettext_lazy("A mission that is %(status)s cannot be paused."),
    "start": gettext_lazy("A mission that is %(status)s cannot be started: it has no planned start that lies ahead."),
    "resume": gettext_lazy("A mission that is %(status)s cannot be resumed."),
    "release": gettext_lazy("Nothing waits for a release: the mission is %(status)s, and no row of it is held back."),
    "cancel": gettext_lazy("A mission that is %(status)s cannot be cancelled."),
    "retry": gettext_lazy("Items of a mission that is %(status)s cannot be retried."),
    "make again": gettext_lazy("Results of a mission that is %(status)s cannot be made again. Use them as input."),
}


@dataclass(frozen=True, slots=True)
class Stopped:
    """The effect of a stop.

    ``still_sending``: attempts whose request was sent before the stop and has no answer yet. They
    may be paid. No other attempt of the mission is sent.
    """

    cancelled_count: int = 0
    still_sending: list[int] = field(default_factory=list)
    is_removed: bool = False


def change_mission(
    *,
    mission_id: int,
    name: str | None = None,
    description: str | None = None,
    folder: str | None = None,
    priority: int | None = None,
    spending_limit: Decimal | EllipsisType | None = ...,
    not_before: datetime | None = None,
    metadata: Mapping[str, Any] | None = None,
    file_name_pattern: str | None = None,
    actor: str = "",
) -> Mission:
    """Change a mission's name, description, folder, priority, limit, planned start or metadata.

    None leaves a value unchanged, but ``spending_limit=None`` removes the limit. Another
    ``file_name_pattern`` names all its files anew, an empty one as usual. Raises MissionInvalid,
    also when the planned start has passed.
    """
    values = {
        "name": name,
        "description": description,
        "folder": None if folder is None else " ".join(folder.split()),
        "priority": priority,
        "metadata": metadata,
        "not_before": not_before,
    }
    changes: dict[str, Any] = {attribute: value for attribute, value in values.items() if value is not None}
    if spending_limit is not ...:
        changes["spending_limit"] = spending_limit
    with transaction.atomic():
        mission = Mission.objects.select_for_update(no_key=True).get(pk=mission_id)
        errors = [] if not_before is None else _start_errors(mission, not_before)
        for attribute, value in changes.items():
            setattr(mission, attribute, value)
        errors += text_errors(mission.name, mission.description, metadata)
        if "spending_limit" in changes:
            errors += limit_errors(mission.spending_limit, has_price=mission.estimated_cost is not None)
        if file_name_pattern is not None and trim(file_name_pattern) != mission.file_name_pattern:
            pattern = trim(file_name_pattern) or usual_pattern(mission)
            changes["file_name_pattern"] = mission.file_name_pattern = pattern
            if problem := naming_problem(mission, pattern):
                errors.append(FieldError("file_name_pattern", problem))
        if errors:
            raise MissionInvalid(errors)
        if "file_name_pattern" in changes:
            rename_files(mission)
        mission.name = trim(mission.name)
        mission.save(update_fields=[*changes, "updated_at"])
        if changes.keys() & {"name", "description"}:
            search.mark_changed(mission_id, last=1)
        values = {name: value if isinstance(value, int) else str(value) for name, value in changes.items()}
        audit.record(Verb.MISSION_CHANGE, mission, actor=actor, changes=values)
    return mission


def pause_mission(*, mission_id: int, actor: str, reason: str = "") -> Stopped:
    """Stop submitting: no further attempt is sent until the mission is resumed.

    Returns at once; the answer names the attempts that are still being sent.
    """
    if not reason:
        name = audit.actor_name(actor)
        reason = reasons.PAUSED_BY(name=name) if name else reasons.PAUSED_BY_PERSON()
    try:
        with transaction.atomic():
            stopped = Stopped(still_sending=lifecycle.pause(mission_id, actor=actor, reason=reason))
            _audit(Verb.MISSION_PAUSE, mission_id, actor)
    except lifecycle.LostRace:
        raise refusal(mission_id, "pause") from None
    return stopped


def has_planned_start(mission: Mission) -> bool:
    """Return True if a mission waits for its planned start, which can still be changed."""
    is_unstarted = mission.status == MissionStatus.PAUSED and mission.started_at is None
    return mission.status == MissionStatus.SCHEDULED or (is_unstarted and mission.not_before is not None)


def start_mission(*, mission_id: int, actor: str) -> None:
    """Start a scheduled mission now. Raises NotPossible when it is not scheduled."""
    with transaction.atomic():
        require_active_owner(mission_id)
        try:
            lifecycle.start_now(mission_id, actor=actor)
        except lifecycle.LostRace:
            raise refusal(mission_id, "start") from None
        _audit(Verb.MISSION_CHANGE, mission_id, actor, changes={"not_before": "None"})
        provider_accounts.wake(Mission.objects.values_list("provider", flat=True).get(pk=mission_id))


def resume_mission(*, mission_id: int, actor: str, spending_limit: Decimal | None = None) -> None:
    """Resume a paused mission, perhaps with another spending limit.

    Raises NotPossible, also when its owner is inactive or only a release continues it, LimitReached
    when a limit would pause it again at once, and MissionInvalid for an invalid ``spending_limit``.
    Then nothing has changed.
    """
    with transaction.atomic():
        require_active_owner(mission_id)
        if spending_limit is not None:
            change_mission(mission_id=mission_id, spending_limit=spending_limit, actor=actor)
        mission = Mission.objects.select_for_update(no_key=True).get(pk=mission_id)
        if mission.status == MissionStatus.PAUSED:
            if mission.waits_for_release:
                raise NotReleased(mission)
            require_budget(mission)
        try:
            lifecycle.resume(mission_id, actor=actor)
        except lifecycle.LostRace:
            raise refusal(mission_id, "resume") from None
        _audit(Verb.MISSION_RESUME, mission_id, actor)
        provider_accounts.wake(mission.provider)


class NotReleased(NotPossible):
    """Everything that is left waits for a release, which a resume is not."""

    error = "not_released"

    def __init__(self, mission: Mission) -> None:
        text = ngettext(
            "Not resumed: the first rows have finished, and %(count)s item waits until you release it.",
            "Not resumed: the first rows have finished, and %(count)s items wait until you release them.",
            mission.held_count,
        )
        super().__init__(text % {"count": f"{mission.held_count:,}"})


def require_budget(mission: Mission) -> None:
    """Raise LimitReached or NotPossible if a limit would pause a mission at its next item."""
    if limit := limit_to_resume(mission):
        raise LimitReached(mission, limit)
    _require_owners_budget(mission)


class LimitReached(NotPossible):
    """The mission's own spending limit does not cover its next item."""

    error = "limit_reached"

    def __init__(self, mission: Mission, limit: NeededLimit) -> None:
        text = _(
            "Not resumed: the spending limit of %(limit)s does not cover the next item. Raise it to at least %(least)s; "
            "%(all)s covers everything that is left."
        )
        amounts = {"limit": mission.spending_limit or Decimal(0), "least": limit.for_next, "all": limit.for_all}
        super().__init__(text % {name: money_text(each, mission.currency) for name, each in amounts.items()})


@dataclass(frozen=True, slots=True)
class NeededLimit:
    """The spending limit that a mission needs for its next item, and for all that are pending."""

    for_next: Decimal
    for_all: Decimal


def limit_to_resume(mission: Mission) -> NeededLimit | None:
    """Return the limit that a mission needs to go on; None if its own limit does not stop it."""
    budget = lifecycle.mission_budget(mission)
    price = next_price(mission) if budget and mission.pending_count else None
    if budget is None or price is None or not budget.is_exhausted(price, mission.currency):
        return None
    spent = budget.charged + budget.expected
    rest = failures.estimate(mission, mission.pending_count) or price
    rest = max(rest * (charges.factor(mission) or 1), price)
    return NeededLimit(spent + price, (spent + rest).quantize(Decimal("0.01"), ROUND_UP))


def next_price(mission: Mission) -> Decimal | None:
    """Return what the next pending item is expected to cost; None if its price is unknown."""
    params = mission.items.filter(status=ItemStatus.PENDING).order_by("index").values_list("params", flat=True).first()
    price = catalog.model_of(mission).price(mission.params | (params or {}))
    return price and (price * (charges.factor(mission) or 1)).quantize(MILLIONTH)


def _require_owners_budget(mission: Mission) -> None:
    """Raise NotPossible if the limit of a mission's owner would pause it again at once."""
    limit = SpendingLimit.objects.filter(user=mission.owner_id).first()
    if limit is None or not mission.pending_count:
        return
    budget, price = budget_of(limit, now=timezone.now()), next_price(mission)
    if budget.is_exhausted(price, mission.currency):
        raise NotPossible(translate(budget.exhausted_reason(price, mission.currency)), error=LimitReached.error)


def _start_errors(mission: Mission, not_before: datetime) -> list[FieldError]:
    """Return why the planned start of a mission cannot be changed to a time."""
    if not has_planned_start(mission):
        message = _("The mission does not wait for a planned start, so there is nothing to change.")
    elif not_before <= timezone.now():
        message = _("That time is in the past. Choose a later one, or start the mission now.")
    else:
        return []
    return [FieldError("not_before", message)]


def cancel_mission(*, mission_id: int, actor: str) -> Stopped:
    """Cancel a mission: no further attempt is sent.

    Returns at once; the answer names the attempts that are still being sent. Tasks that have not
    started are cancelled at the provider where that is free. Others are paid, so they are polled to
    their end and their results are kept.
    """
    try:
        with transaction.atomic():
            count, sending = lifecycle.cancel(mission_id, actor=actor)
            _audit(Verb.MISSION_CANCEL, mission_id, actor, cancelled_count=count)
    except lifecycle.LostRace:
        raise refusal(mission_id, "cancel") from None
    _cancel_at_provider(mission_id)
    return Stopped(cancelled_count=count, still_sending=sending)


def delete_mission(*, mission_id: int, actor: str) -> Stopped:
    """Stop a mission for good; remove it and its files once nothing of it is in flight."""
    with transaction.atomic():
        sending = lifecycle.request_deletion(mission_id, actor=actor)
        _audit(Verb.MISSION_DELETE, mission_id, actor)
    _cancel_at_provider(mission_id)
    return Stopped(still_sending=sending, is_removed=purge_mission(mission_id))


def _audit(verb: Verb, mission_id: int, actor: str, **details: Any) -> None:
    mission = Mission.objects.only("name").get(pk=mission_id)
    audit.record(verb, mission, actor=actor, **details)


def _cancel_at_provider(mission_id: int) -> None:
    """Let a worker cancel the tasks that wait at the provider, if it can do that."""
    at_work = Mission.objects.filter(pk=mission_id, processing_count__gt=0)
    provider = PROVIDERS.get(at_work.values_list("provider", flat=True).first() or "")
    if provider and provider.capabilities.cancels:
        queue.send("cancel_waiting", mission_id)


def pause_after_key_change(provider: str) -> int:
    """Pause every open mission of a provider. Return how many.

    They were created for another key, perhaps the simulator's, and must not spend without consent.
    """
    return _pause_all(Mission.objects.filter(provider=provider), reasons.KEY_CHANGED())


def pause_after_restore() -> int:
    """Pause every account and every open mission after a restore. Return how many missions.

    Items that are pending in a backup may have been sent after it was made, also those of a mission
    that was paused then: it may have been resumed since. So it gets this reason, too.
    """
    provider_accounts.sync_env_key()  # now: a key that the backup does not know would end the pause when workers start
    provider_accounts.block_all(reason=reasons.RESTORED())
    return _pause_all(Mission.objects.all(), reasons.RESTORED(), may_be_paused=True)


def pause_missions_of(person: User) -> int:
    """Pause every open mission of a person who was made inactive. Return how many."""
    return _pause_all(Mission.objects.filter(owner=person), reasons.OWNER_INACTIVE(name=person.get_username()))


def missions_block_deletion(person: User) -> str:
    """Return why a person with missions cannot be deleted, and what to do; "" without missions."""
    count = Mission.objects.filter(owner=person).count()
    if not count:
        return ""
    text = ngettext(
        "%(name)s has %(count)s mission. Make the person inactive instead, or delete the mission first.",
        "%(name)s has %(count)s missions. Make the person inactive instead, or delete the missions first.",
        count,
    )
    return text % {"name": person.get_username(), "count": f"{count:,}"}


def work_facts(person: User) -> list[str]:
    """Return how many missions a person has and what they were charged, as short texts."""
    sums = Mission.objects.filter(owner=person).order_by().values_list("currency").annotate(Count("pk"), Sum("cost"))
    rows = list(sums)
    count = sum(number for _currency, number, _cost in rows)
    facts = [ngettext("%(count)s mission", "%(count)s missions", count) % {"count": f"{count:,}"}]
    return facts + [f"{amount_text(cost)} {currency}" for currency, _number, cost in rows if cost]


def require_active_owner(mission_id: int) -> None:
    """Raise NotPossible if the owner of a mission is inactive: nothing is sent for them."""
    if reason := people.inactive_reason(Mission.objects.select_related("owner").get(pk=mission_id).owner):
        raise NotPossible(reason)


def _pause_all(missions: QuerySet[Mission], reason: str, *, may_be_paused: bool = False) -> int:
    paused = 0
    statuses = lifecycle.OPEN if may_be_paused else (MissionStatus.SCHEDULED, *lifecycle.RUNNABLE)
    for mission_id in missions.filter(status__in=statuses).values_list("pk", flat=True):
        try:
            lifecycle.pause(mission_id, actor=lifecycle.ENGINE, reason=reason, may_be_paused=may_be_paused)
            paused += 1
        except lifecycle.LostRace:
            continue
    return paused


def refusal(mission_id: int, action: str) -> NotPossible:
    """Return the error that ``action`` does not fit the mission's current status."""
    status = MissionStatus(Mission.objects.values_list("status", flat=True).get(pk=mission_id))
    return NotPossible(_REFUSALS[action] % {"status": status.label})
