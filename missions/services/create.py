"""Store a validated mission with all its items, or nothing."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.audit import services as audit
from accounts.audit.models import Verb
from core.db import bulk
from core.db.transactions import durable_transaction
from core.db.values import storable
from core.errors import FieldError
from core.money import amount_text
from media.uses import record_uses
from missions import lifecycle
from missions.models import Mission, MissionItem
from missions.references import record_output_uses
from missions.services.validate import Draft, MissionInvalid, validate_mission
from providers import provider_accounts
from templates_app.models import MissionTemplate


def create_mission(
    draft: Draft,
    *,
    priority: int = 0,
    not_before: datetime | None = None,
    max_attempts: int | None = None,
    run_first: int | None = None,
    group: str | None = None,
    input_report: Mapping[str, Any] | None = None,
    on_created: Callable[[Mission], None] | None = None,
) -> Mission:
    """Store a validated mission and wake the workers.

    With ``run_first`` only so many rows are sent; the others wait until a person releases them.
    ``group`` is the same for missions of the same rows. ``input_report`` says what was read from
    the file of its rows, as plain JSON values.
    ``on_created`` is called in the same transaction, so what it stores exists exactly if the
    mission does. Raises MissionInvalid when an uploaded file was deleted since the
    validation.
    """
    now = timezone.now()
    # Built before the transaction: while it runs, nobody else can write to a SQLite database.
    names = "index", "custom_id", "params", "origin", "file_name"
    items, held = (bulk.Table(MissionItem, *names) for _table in range(2))
    rows = zip(draft.rows, draft.custom_ids, draft.origins, draft.file_stems(), strict=True)
    for index, (row, custom_id, origin, stem) in enumerate(rows, start=1):
        table = items if run_first is None or index <= run_first else held
        table.add(index, custom_id, json.dumps(row), origin and json.dumps(origin), stem)
    held_count = len(held.rows)
    _first, held_cost = draft.prices_of_parts(run_first) if run_first and held_count else (None, None)
    with durable_transaction():
        template_id = draft.template_id
        if template_id is not None:
            # Locked, so that it is not deleted meanwhile. One that is gone is left out, as it would
            # be by its deletion.
            template = MissionTemplate.objects.filter(pk=template_id).select_for_update(no_key=True)
            template_id = template.values_list("pk", flat=True).first()
        mission = Mission.objects.create(
            owner_id=draft.owner.pk,
            name=draft.name,
            description=draft.description,
            task_type=draft.task_type,
            provider=draft.model.provider,
            model=draft.model.endpoint,
            params=draft.params,
            metadata=draft.metadata,
            file_name_pattern=draft.file_name_pattern,
            input=storable(input_report),
            template_id=template_id,
            priority=priority,
            not_before=not_before,
            max_attempts=max_attempts or draft.model.max_attempts,
            total_count=len(draft.rows),
            pending_count=len(draft.rows),
            currency=draft.model.currency,
            estimated_cost=draft.estimated_cost,
            spending_limit=draft.spending_limit,
            group=group,
            run_first=run_first if held_count else None,
            held_count=held_count,
            held_cost=held_cost,
            created_at=now,
        )
        facts = {"mission_id": mission.pk, "attempt_limit": mission.max_attempts, "created_at": now}
        items.write(available_at=now, **facts)
        held.write(available_at=lifecycle.HELD_UNTIL, **facts)
        actor = f"user:{draft.owner.pk}"
        lifecycle.open_mission(mission, actor=actor)
        estimate = amount_text(mission.estimated_cost)
        audit.record(
            Verb.MISSION_CREATE,
            mission,
            actor=actor,
            model=mission.model,
            items=mission.total_count,
            estimate=estimate,
            currency=mission.currency,
        )
        record_file_uses(mission, draft.media_ids, draft.output_keys, field="batch_input")
        provider_accounts.wake(mission.provider)
        if on_created is not None:
            on_created(mission)
    return mission


def create_group(
    drafts: Sequence[Draft], *, on_created: Callable[[list[Mission]], None], **settings: Any
) -> list[Mission]:
    """Store missions of the same rows, one per model, or nothing.

    Their names end with the model's. ``settings`` are arguments of ``create_mission`` that hold for
    each of them. ``on_created`` is called in the same transaction.
    """
    group = secrets.token_hex(16)
    with durable_transaction():
        missions = [create_mission(draft.with_model_in_name(), group=group, **settings) for draft in drafts]
        on_created(missions)
    return missions


def submit_mission(
    *,
    priority: int = 0,
    not_before: datetime | None = None,
    max_attempts: int | None = None,
    run_first: int | None = None,
    on_created: Callable[[Mission], None] | None = None,
    **fields: Any,
) -> Mission:
    """Validate a mission and store it. ``fields`` are the arguments of ``validate_mission``.

    Raises MissionInvalid.
    """
    draft = validate_mission(**fields)
    return create_mission(
        draft,
        priority=priority,
        not_before=not_before,
        max_attempts=max_attempts,
        run_first=run_first,
        on_created=on_created,
    )


def record_file_uses(
    mission: Mission, media_ids: Iterable[int], output_keys: Iterable[tuple[int, int]], *, field: str
) -> None:
    """Protect the files and results that a mission names until it has ended.

    Raises MissionInvalid when one was just deleted.
    """
    missing = [f"media:{media_id}" for media_id in record_uses(mission.pk, media_ids)]
    if output_keys:
        missing += record_output_uses(mission, output_keys)
    if missing:
        message = _("%s was removed in the meantime: choose another file.") % ", ".join(missing[:5])
        raise MissionInvalid([FieldError(field, message)])
