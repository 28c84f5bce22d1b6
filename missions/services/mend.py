"""Correct failed items before they are retried. Nothing is sent here, and nothing is charged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.utils import timezone

from accounts.audit import services as audit
from accounts.audit.models import Verb
from core.errors import FieldError
from core.text import replace_words
from missions import search
from missions.models import ItemStatus, Mission
from missions.services.create import record_file_uses
from missions.services.naming import naming_of, origin_of, stem_for
from missions.services.retry import own_params
from missions.services.validate import MAX_ERRORS, MissionInvalid
from providers import catalog, references


@dataclass(frozen=True, slots=True)
class Replacement:
    """A prompt of a failed item, before and after some words are replaced."""

    index: int
    before: str
    after: str


def edit_failed(
    *, mission_id: int, params: Mapping[int, Mapping[str, Any]], actor: str, allow_free_form: bool = False
) -> list[int]:
    """Store other parameters of failed items, until a person retries them.

    ``params`` replace some parameters of each item, by index. Return the items that changed; those
    that are not failed any more are left alone. Raises MissionInvalid, with fields such as
    ``items.7.prompt``; then nothing has changed.
    """
    errors: list[FieldError] = []
    edited: list[int] = []
    with transaction.atomic():
        mission = Mission.objects.select_for_update(no_key=True).get(pk=mission_id)
        model = catalog.model_of(mission)
        naming = naming_of(mission)
        media_ids: set[int] = set()
        output_keys: set[tuple[int, int]] = set()
        items = mission.items.filter(status=ItemStatus.FAILED, index__in=params).order_by("index")
        for item in items:
            item.mission = mission
            try:
                own = own_params(item, params[item.index], allow_free_form)
            except MissionInvalid as invalid:
                errors += [
                    FieldError(f"items.{item.index}.{error.field.removeprefix('params').lstrip('.')}", error.message)
                    for error in invalid.errors
                ]
                continue
            if own == item.params:
                continue
            failed = mission.items.filter(pk=item.pk, status=ItemStatus.FAILED)
            origin = origin_of(item, own)
            failed.update(
                params=own, origin=origin, file_name=stem_for(item, own, origin, naming), edited_at=timezone.now()
            )
            edited.append(item.index)
            media_ids.update(media_id for _name, media_id in references.media_ids(model, own))
            output_keys.update(key for _name, key in references.output_keys(model, own))
        if errors:
            raise MissionInvalid(errors[:MAX_ERRORS])
        if edited:
            record_file_uses(mission, media_ids, output_keys, field="items")
            search.mark_changed(mission_id, first=min(edited), last=max(edited))
            audit.record(Verb.MISSION_CHANGE, mission, actor=actor, edited_items=len(edited))
    return edited


def replacements(
    mission: Mission, *, prompt: str, error_code: str, find: str, replace: str, match_case: bool = False
) -> list[Replacement]:
    """Return the prompts of a mission's items that failed for one cause and contain some words.

    In each all the words are replaced. ``prompt`` is the parameter with the prompts. An empty
    ``find`` finds none.
    """
    if not find:
        return []
    failed = mission.items.filter(status=ItemStatus.FAILED, error_code=error_code, ended_at__isnull=False)
    found = []
    for index, own in failed.order_by("index").values_list("index", "params").iterator(chunk_size=2000):
        before = str((mission.params | own).get(prompt) or "")
        after = replace_words(before, find, replace, match_case=match_case)
        if after != before:
            found.append(Replacement(index, before, after))
    return found
