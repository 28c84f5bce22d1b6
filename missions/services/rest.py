"""Release the rows that wait behind the first ones of a mission, or change them before."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from accounts.audit import services as audit
from accounts.audit.models import Verb
from batch_input.columns import prompt_field
from batch_input.variables import join_texts
from core.errors import FieldError, NotPossible
from core.money import amount_text
from core.text import replace_words
from missions import lifecycle, search
from missions.models import Mission, MissionItem
from missions.services.control import change_mission, refusal, require_active_owner, require_budget
from missions.services.create import record_file_uses
from missions.services.naming import naming_of, origin_of, stem_for
from missions.services.retry import own_params
from missions.services.validate import MissionInvalid, total_price
from providers import catalog, provider_accounts, references

SHOWN_CHANGES = 3


@dataclass(frozen=True, slots=True)
class Released:
    """The number of released items, and the price of an attempt of each (None: unknown)."""

    count: int
    estimate: Decimal | None
    currency: str


@dataclass(frozen=True, slots=True)
class RestChange:
    """A change of all items that wait for a release.

    ``params`` replace parameters. In the prompts ``find`` is replaced by ``replace``; then
    ``prefix`` and ``suffix`` are put around them.
    """

    params: Mapping[str, Any] = field(default_factory=dict)
    prefix: str = ""
    suffix: str = ""
    find: str = ""
    replace: str = ""
    match_case: bool = False

    @property
    def has_prompts(self) -> bool:
        """True if the prompts change."""
        return bool(self.prefix.strip() or self.suffix.strip() or self.find)

    def prompt(self, text: str) -> str:
        """Return a prompt as it is after the change."""
        if self.find:
            text = replace_words(text, self.find, self.replace, match_case=self.match_case)
        return join_texts(self.prefix, text, self.suffix)


@dataclass(frozen=True, slots=True)
class ChangedRest:
    """The effect of a change.

    ``count`` items differ; ``price`` is that of all that wait, None if unknown; ``examples`` are
    the first prompts that differ, as (index, before, after).
    """

    count: int
    price: Decimal | None
    examples: list[tuple[int, str, str]]


def release_mission(
    *,
    mission_id: int,
    actor: str,
    at_most: Decimal | None = None,
    spending_limit: Decimal | None = None,
    on_done: Callable[[Released], None] | None = None,
) -> Released:
    """Let the rows of a mission run that waited for it, which costs money.

    ``at_most`` is the price that the person has seen, ``spending_limit`` another limit of the
    mission. ``on_done`` is called in the same transaction. Raises NotPossible when nothing waits or
    the price has risen, LimitReached when a limit would pause the mission at once, and
    MissionInvalid for an invalid ``spending_limit``. Then nothing has changed.
    """
    with transaction.atomic():
        require_active_owner(mission_id)
        if spending_limit is not None:
            change_mission(mission_id=mission_id, spending_limit=spending_limit, actor=actor)
        mission = Mission.objects.select_for_update(no_key=True).get(pk=mission_id)
        released = Released(mission.held_count, mission.held_cost, mission.currency)
        if at_most is not None and released.count and (released.estimate is None or released.estimate > at_most):
            raise NotPossible(_("The price of the rest has changed meanwhile. Look at it again, then release."))
        if released.count:
            require_budget(mission)
        try:
            lifecycle.release(mission_id, actor=actor)
        except lifecycle.LostRace:
            raise refusal(mission_id, "release") from None
        facts: dict[str, Any] = {"released": released.count, "estimate": amount_text(released.estimate)}
        audit.record(Verb.MISSION_RESUME, mission, actor=actor, currency=mission.currency, **facts)
        provider_accounts.wake(mission.provider)
        if on_done is not None:
            on_done(released)
    return released


def change_rest(
    *,
    mission_id: int,
    change: RestChange,
    actor: str,
    allow_free_form: bool = False,
    is_preview: bool = False,
) -> ChangedRest:
    """Change the rows that wait for a release. Nothing is sent.

    ``is_preview``: check and price the change, and store nothing. Raises MissionInvalid, with
    fields such as ``params.aspectRatio`` or ``prefix``, and NotPossible when nothing waits. Then
    nothing has changed.
    """
    with transaction.atomic():
        mission = Mission.objects.select_for_update(no_key=True).get(pk=mission_id)
        if not mission.held_count:
            raise refusal(mission_id, "release")
        model = catalog.model_of(mission)
        prompt = prompt_field(model)
        if change.has_prompts and prompt is None:
            raise MissionInvalid([FieldError("prefix", _("This model has no prompt that could be changed."))])
        naming = naming_of(mission)
        items: list[MissionItem] = []
        merged: list[Mapping[str, Any]] = []
        examples: list[tuple[int, str, str]] = []
        media_ids: set[int] = set()
        output_keys: set[tuple[int, int]] = set()
        for item in lifecycle.held_items(mission).order_by("index").iterator(chunk_size=2000):
            item.mission = mission
            params = dict(change.params)
            before = (mission.params | item.params).get(prompt.name) if prompt else None
            if prompt is not None and change.has_prompts and isinstance(before, str):
                params[prompt.name] = change.prompt(before)
            own = own_params(item, params, allow_free_form, has_checked_files=bool(merged)) if params else item.params
            merged.append(mission.params | own)
            if own == item.params:
                continue
            if not is_preview:
                item.origin = origin_of(item, own)
                item.file_name = stem_for(item, own, item.origin, naming)
                item.params = own
            items.append(item)
            if prompt is not None and len(examples) < SHOWN_CHANGES:
                examples.append((item.index, str(before or ""), str(merged[-1].get(prompt.name) or "")))
            media_ids.update(media_id for _name, media_id in references.media_ids(model, own))
            output_keys.update(key for _name, key in references.output_keys(model, own))
        price = total_price(model, merged)
        if is_preview or not items:
            return ChangedRest(len(items), price, examples)
        others = None if None in (mission.estimated_cost, mission.held_cost) else mission.estimated_cost
        estimate = None if others is None or price is None else others - (mission.held_cost or 0) + price
        try:
            lifecycle.change_held(mission_id, items, price=price, estimate=estimate)
        except lifecycle.LostRace:
            raise refusal(mission_id, "release") from None
        record_file_uses(mission, media_ids, output_keys, field="config")
        search.mark_changed(mission_id, first=items[0].index, last=items[-1].index)
        audit.record(Verb.MISSION_CHANGE, mission, actor=actor, edited_items=len(items))
    return ChangedRest(len(items), price, examples)
