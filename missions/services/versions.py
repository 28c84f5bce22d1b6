"""Make results again as new versions, and choose among versions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.audit import services as audit
from accounts.audit.models import Verb
from core.db import bulk
from core.errors import FieldError, NotPossible
from core.money import MILLIONTH, amount_text, money_text
from missions import charges, failures, lifecycle, search
from missions.models import ItemStatus, Mission, MissionItem
from missions.services.control import refusal, require_active_owner
from missions.services.create import record_file_uses
from missions.services.naming import origin_of
from missions.services.retry import own_params
from missions.services.validate import MissionInvalid, owner_limit_errors, size_problem, total_price
from providers import catalog, provider_accounts, references

_NOT_YET = {
    ItemStatus.FAILED: gettext_lazy("Item %(index)d failed. Retry it; that makes no new version."),
    ItemStatus.CANCELLED: gettext_lazy("Item %(index)d was cancelled, so it has no result to make again."),
    ItemStatus.UNCONFIRMED: gettext_lazy("Item %(index)d is unconfirmed. Resolve it first."),
}
_UNFINISHED = gettext_lazy("Item %(index)d is not completed yet. It can be made again when it is.")


@dataclass(frozen=True, slots=True)
class NewVersions:
    """New versions: their indexes, and the price of an attempt of each (None: unknown)."""

    indexes: list[int]
    estimate: Decimal | None
    currency: str


def make_again(
    *,
    mission_id: int,
    indexes: Sequence[int],
    actor: str,
    params: Mapping[str, Any] | None = None,
    seen_versions: Mapping[int, int] | None = None,
    allow_free_form: bool = False,
    on_done: Callable[[NewVersions], None] | None = None,
) -> NewVersions:
    """Make the results of completed items again, which costs money: a new version of each.

    The mission goes back to work; the old results stay. ``params`` replace some parameters in all
    new versions. ``seen_versions`` holds, by index, the number of the latest version that the
    person saw: an item with a newer one is left out, so that a second click neither makes nor pays
    anything.
    ``allow_free_form`` accepts parameters of a model that is not in the catalogue. ``on_done`` is
    called in the same transaction.

    Raises NotPossible when an item is not completed or the mission is cancelled, and MissionInvalid
    for unknown items, wrong parameters, and a spending limit that does not cover the price. Then
    nothing was made and nothing is sent.
    """
    with transaction.atomic():
        mission = Mission.objects.select_for_update(no_key=True).get(pk=mission_id)
        require_active_owner(mission_id)
        items = _completed_items(mission, list(dict.fromkeys(indexes)))
        if seen_versions is not None:
            latest = lifecycle.latest_versions(mission, [item.place for item in items])
            items = [item for item in items if latest[item.place] <= seen_versions.get(item.index, 0)]
        rows = [
            (
                item,
                item.params if params is None else own_params(item, params, allow_free_form, has_checked_files=bool(n)),
            )
            for n, item in enumerate(items)
        ]
        if params is not None:
            for item, own in rows:
                item.origin = origin_of(item, own)
        merged = [mission.params | own for _item, own in rows]
        model = catalog.model_of(mission)
        estimate = total_price(model, merged)
        if rows:
            if problems := again_problems(mission, len(rows), estimate):
                raise MissionInvalid([FieldError("indexes", problem) for problem in problems])
            try:
                added = lifecycle.add_versions(mission_id, rows, actor=actor, estimate=estimate)
            except lifecycle.LostRace:
                raise refusal(mission_id, "make again") from None
            media_ids = {media_id for row in merged for _name, media_id in references.media_ids(model, row)}
            output_keys = {key for row in merged for _name, key in references.output_keys(model, row)}
            record_file_uses(mission, media_ids, output_keys, field="indexes")
            search.mark_changed(mission_id, first=min(added), last=max(added))
            provider_accounts.wake(mission.provider)
            facts: dict[str, Any] = {"count": len(rows), "estimate": amount_text(estimate)}
            audit.record(Verb.MISSION_AGAIN, mission, actor=actor, currency=mission.currency, **facts)
        new = NewVersions(added if rows else [], estimate, mission.currency)
        if on_done is not None:
            on_done(new)
    return new


def price_again(mission: Mission, items: Iterable[MissionItem]) -> Decimal | None:
    """Return the price of making the results of these items again; None if it is unknown."""
    return total_price(catalog.model_of(mission), (mission.params | item.params for item in items))


def again_problems(mission: Mission, count: int, estimate: Decimal | None) -> list[str]:
    """Return why ``count`` more items for ``estimate`` may not be added to a mission.

    A mission that has reached its own spending limit would only be paused by them. Its other
    pending items come first, so their expected price counts, too.
    """
    if problem := size_problem(mission.total_count + count):
        return [problem.message]
    if estimate:
        estimate = (estimate * (charges.factor(mission) or 1)).quantize(MILLIONTH)
    problems = [error.message for error in owner_limit_errors(mission.owner, catalog.model_of(mission), estimate)]
    budget = lifecycle.mission_budget(mission)
    if budget is not None and estimate:
        left = budget.left - (failures.estimate(mission, mission.may_run_count) or 0)
        if estimate > left:
            message = _(
                "This costs about %(price)s, and %(left)s is left of this mission's spending limit of %(limit)s. "
                "Raise the limit first, or choose fewer results."
            )
            amounts = {"price": estimate, "left": max(left, Decimal(0)), "limit": budget.limit}
            problems.append(message % {name: money_text(each, mission.currency) for name, each in amounts.items()})
    return problems


def choose_version(*, item: MissionItem) -> None:
    """Let galleries and downloads contain this version of its row. It costs nothing.

    Raises NotPossible when the item is not completed.
    """
    try:
        lifecycle.choose_version(item.mission_id, item.index)
    except lifecycle.LostRace:
        raise NotPossible(_("Only a completed version can be chosen.")) from None


def _completed_items(mission: Mission, indexes: Sequence[int]) -> list[MissionItem]:
    """Return a mission's items at ``indexes``, in this order.

    Raises MissionInvalid for an unknown index, NotPossible for an item that is not completed.
    """
    found: dict[int, MissionItem] = {}
    for part in bulk.batches(indexes, lifecycle.BATCH):
        found |= {item.index: item for item in mission.items.filter(index__in=part)}
    unknown = [place for place, index in enumerate(indexes) if index not in found]
    if unknown:
        message = _("The mission has no item of this number.")
        raise MissionInvalid([FieldError(f"indexes.{place}", message) for place in unknown])
    for item in found.values():
        item.mission = mission
        if item.status != ItemStatus.COMPLETED:
            text = _NOT_YET.get(ItemStatus(item.status), _UNFINISHED)
            raise NotPossible(text % {"index": item.index})
    return [found[index] for index in indexes]
