"""People's verbs: create, cancel, pause, resume, retry, resolve, delete; and delete a reference file.

Called by every interface.  Keyword-only; ``actor`` is whoever asks ("user:7").  Bad input raises ``MissionInvalid`` with
every error at once; a verb that does not fit the mission's state raises ``NotPossible`` with a sentence for people.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from media import services as media_services
from media.models import MediaFile
from missions import archive, catalog, engine, lifecycle, queue, references
from missions.catalog import FieldError, ParamsInvalid
from missions.models import Attempt, AttemptStatus, Mission, MissionItem, MissionStatus, ProviderAccount, TaskType
from missions.providers.errors import ProviderError

INSERT_BATCH = 1000
SETTLE_SECONDS = 5.0
MAX_ERRORS = 200


class MissionInvalid(ValueError):
    """The mission cannot be made.  Nothing was stored and nothing will be paid; ``errors`` names every field."""

    def __init__(self, errors: Sequence[FieldError]) -> None:
        super().__init__("; ".join(f"{error.field}: {error.message}" for error in errors[:5]))
        self.errors = list(errors)


class NotPossible(Exception):
    """The verb does not fit the state of things.  The message says why and what to do instead."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A validated mission that is not yet stored."""

    model: catalog.Model
    params: dict[str, Any]
    rows: list[dict[str, Any]]
    custom_ids: list[str]
    estimated_cost: Decimal | None

    @property
    def media_ids(self) -> set[int]:
        """The uploaded files that any item names."""
        named = (references.media_ids(self.model, params) for params in (self.params, *self.rows))
        return {media_id for found in named for _, media_id in found}


@dataclass(frozen=True, slots=True)
class Stopped:
    """What stopping a mission did.  ``still_sending`` were on the wire and got no answer yet: they may be paid."""

    cancelled_count: int = 0
    still_sending: list[int] = field(default_factory=list)


# --- Create ---


def draft_mission(
    *,
    owner: AbstractBaseUser,
    task_type: str,
    rows: Iterable[str | Mapping[str, Any]],
    params: Mapping[str, Any] | None = None,
    model: str = "",
    repeat: int = 1,
    allow_free_form: bool = False,
) -> Draft:
    """Check everything about a mission and price it, without storing anything.

    ``rows``: a string fills the model's batch field; an object overrides ``params`` for that item and may carry
    ``custom_id``.  ``repeat`` makes each row that many items.  ``allow_free_form`` admits an endpoint that is not in the
    catalogue, whose parameters nobody can check.  Raises MissionInvalid.
    """
    chosen = _choose_model(task_type, model, allow_free_form)
    shared = dict(params or {})
    errors: list[FieldError] = []
    merged: list[dict[str, Any]] = []
    custom_ids: list[str] = []
    once = list(rows)
    _check_size(len(once), repeat)
    for number, row in enumerate(once * repeat):
        try:
            own, custom_id = _read_row(chosen, row)
            merged.append(chosen.clean(shared | own))
            custom_ids.append(custom_id)
        except ParamsInvalid as invalid:
            errors += [FieldError(f"batch_input.{number}.{error.field}", error.message) for error in invalid.errors]
        if len(errors) >= MAX_ERRORS:
            break
    errors += _missing_files(owner, chosen, merged) if not errors else []
    if errors:
        raise MissionInvalid(errors)
    common = _common(chosen, merged)
    return Draft(
        model=chosen,
        params=common,
        rows=[{name: value for name, value in row.items() if name not in common} for row in merged],
        custom_ids=custom_ids,
        estimated_cost=_total_price(chosen, merged),
    )


def create_mission(
    *,
    owner: AbstractBaseUser,
    name: str,
    task_type: str,
    rows: Iterable[str | Mapping[str, Any]],
    params: Mapping[str, Any] | None = None,
    model: str = "",
    description: str = "",
    priority: int = 0,
    not_before: datetime | None = None,
    repeat: int = 1,
    metadata: Mapping[str, Any] | None = None,
    template_id: int | None = None,
    max_attempts: int | None = None,
    allow_free_form: bool = False,
) -> Mission:
    """Store a mission with all its items, or nothing, and wake the workers.  Arguments as for ``draft_mission``.

    Raises MissionInvalid.
    """
    if not name.strip():
        raise MissionInvalid([FieldError("name", "Give the mission a name.")])
    draft = draft_mission(
        owner=owner,
        task_type=task_type,
        rows=rows,
        params=params,
        model=model,
        repeat=repeat,
        allow_free_form=allow_free_form,
    )
    now = timezone.now()
    with lifecycle.durably():
        mission = Mission.objects.create(
            owner_id=owner.pk,
            name=name.strip()[:200],
            description=description,
            task_type=task_type,
            provider=draft.model.provider,
            model=draft.model.endpoint,
            params=draft.params,
            metadata=dict(metadata or {}),
            template_id=template_id,
            priority=priority,
            not_before=not_before,
            max_attempts=max_attempts or draft.model.max_attempts,
            total_count=len(draft.rows),
            pending_count=len(draft.rows),
            currency=draft.model.currency,
            estimated_cost=draft.estimated_cost,
            created_at=now,
        )
        MissionItem.objects.bulk_create(
            (
                MissionItem(
                    mission=mission,
                    index=index,
                    custom_id=custom_id,
                    params=row,
                    attempt_limit=mission.max_attempts,
                    available_at=now,
                    created_at=now,
                )
                for index, (row, custom_id) in enumerate(zip(draft.rows, draft.custom_ids, strict=True), start=1)
            ),
            batch_size=INSERT_BATCH,
        )
        lifecycle.open_mission(mission, actor=f"user:{owner.pk}")
        _keep_files(mission, draft)
        _wake(mission)
    return mission


def _choose_model(task_type: str, endpoint: str, allow_free_form: bool) -> catalog.Model:
    if task_type not in TaskType.values:
        raise MissionInvalid([FieldError("task_type", f"Choose one of {', '.join(TaskType.values)}.")])
    if not endpoint:
        return catalog.default_model(task_type)
    try:
        model = catalog.find_model(endpoint, task_type) if allow_free_form else catalog.get_model(endpoint)
    except (catalog.UnknownModel, ValueError) as error:
        raise MissionInvalid([FieldError("model", str(error))]) from error
    if model.task_type != task_type:
        raise MissionInvalid([FieldError("model", f"{endpoint} makes {model.task_type}, not {task_type}.")])
    return model


def _check_size(rows: int, repeat: int) -> None:
    if repeat < 1:
        raise MissionInvalid([FieldError("repeat", "Repeat each row at least once.")])
    if not rows:
        raise MissionInvalid([FieldError("batch_input", "Give at least one row.")])
    if rows * repeat > settings.MISSION_MAX_ITEMS:
        message = f"{rows * repeat} items are more than one mission may hold ({settings.MISSION_MAX_ITEMS}): split it."
        raise MissionInvalid([FieldError("batch_input", message)])


def _read_row(model: catalog.Model, row: str | Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """An item's own parameters and its custom id."""
    if isinstance(row, str):
        return {model.batch_field: row}, ""
    if not isinstance(row, Mapping):
        raise ParamsInvalid([FieldError(model.batch_field, "Give a text, or an object of parameters.")])
    own = dict(row)
    given = own.pop("custom_id", None)
    custom_id = "" if given is None else str(given)
    if len(custom_id) > 200:
        raise ParamsInvalid([FieldError("custom_id", "At most 200 characters.")])
    return own, custom_id


def _missing_files(
    owner: AbstractBaseUser, model: catalog.Model, merged: Sequence[Mapping[str, Any]]
) -> list[FieldError]:
    """Every file that a row names and that its owner does not have, or that the model does not take."""
    named = [
        (number, name, media_id)
        for number, params in enumerate(merged)
        for name, media_id in references.media_ids(model, params)
    ]
    if not named:
        return []
    files = MediaFile.objects.filter(owner_id=owner.pk).in_bulk({media_id for _, _, media_id in named})
    errors = []
    for number, name, media_id in named:
        message = _file_problem(model, name, files.get(media_id), media_id)
        if message:
            errors.append(FieldError(f"batch_input.{number}.{name}", message))
    return errors[:MAX_ERRORS]


def _file_problem(model: catalog.Model, name: str, media: MediaFile | None, media_id: int) -> str:
    if media is None:
        return f"There is no uploaded file {media_id}: upload it first."
    described = model.field(name)
    if described is None:
        return ""
    kind = media.content_type.rpartition("/")[2].upper().replace("JPEG", "JPG")
    if described.formats and kind not in {format_.replace("JPEG", "JPG") for format_ in described.formats}:
        return f"{media.name} is {kind}; this model takes {', '.join(described.formats)}."
    if described.max_bytes and media.size_bytes > described.max_bytes:
        return f"{media.name} has {media.size_bytes:,} bytes; this model takes at most {described.max_bytes:,}."
    return ""


def file_problems(owner: AbstractBaseUser, model: catalog.Model, params: Mapping[str, Any]) -> list[FieldError]:
    """What is wrong with the uploaded files that one set of parameters names."""
    named = references.media_ids(model, params)
    files = MediaFile.objects.filter(owner_id=owner.pk).in_bulk({media_id for _, media_id in named})
    found = [(name, _file_problem(model, name, files.get(media_id), media_id)) for name, media_id in named]
    return [FieldError(name, message) for name, message in found if message]


def _keep_files(mission: Mission, draft: Draft) -> None:
    """From here on the mission's files stay until it has ended.  Raises MissionInvalid when one was just removed."""
    gone = references.note_uses(mission.pk, draft.media_ids)
    if gone:
        names = ", ".join(f"media:{media_id}" for media_id in gone[:5])
        raise MissionInvalid([FieldError("batch_input", f"{names} was removed in the meantime: upload it again.")])


def _common(model: catalog.Model, merged: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The parameters that all items share: stored once, on the mission.  The batch field is always the item's own."""
    common = {name: value for name, value in merged[0].items() if name != model.batch_field}
    for row in merged[1:]:
        for name in [name for name, value in common.items() if name not in row or row[name] != value]:
            del common[name]
        if not common:
            break
    return common


def _total_price(model: catalog.Model, merged: Iterable[Mapping[str, Any]]) -> Decimal | None:
    total = Decimal(0)
    for params in merged:
        price = model.price(params)
        if price is None:
            return None
        total += price
    return total


def _wake(mission: Mission) -> None:
    for account_id in ProviderAccount.objects.filter(provider=mission.provider, is_enabled=True).values_list(
        "pk", flat=True
    ):
        queue.send("dispatch", account_id)


# --- Stop and go on ---


def pause_mission(*, mission_id: int, actor: str, reason: str = "Paused by a person.") -> Stopped:
    """Stop submitting.  When this returns nothing of the mission is sent any more, until it is resumed."""
    try:
        wire = lifecycle.pause(mission_id, actor=actor, reason=reason)
    except lifecycle.LostRace:
        raise NotPossible(_state_message(mission_id, "pause")) from None
    return Stopped(still_sending=_wait_for_answers(wire))


def hold_after_key_change() -> int:
    """Pause every open mission: it was made for another key, perhaps the simulator's, and must not spend unasked.

    Returns how many were paused.
    """
    reason = "The API key or the provider's address has changed. Resume to go on, and pay, with the new one."
    held = 0
    active = Mission.objects.filter(status__in=[MissionStatus.SCHEDULED, MissionStatus.QUEUED, MissionStatus.RUNNING])
    for mission_id in active.values_list("pk", flat=True):
        try:
            lifecycle.pause(mission_id, actor=lifecycle.ENGINE, reason=reason)
            held += 1
        except lifecycle.LostRace:
            continue
    return held


def resume_mission(*, mission_id: int, actor: str) -> None:
    """Go on with a paused mission."""
    with transaction.atomic():
        try:
            lifecycle.resume(mission_id, actor=actor)
        except lifecycle.LostRace:
            raise NotPossible(_state_message(mission_id, "resume")) from None
        _wake(Mission.objects.get(pk=mission_id))


def cancel_mission(*, mission_id: int, actor: str) -> Stopped:
    """Stop for good.  When this returns nothing of the mission is sent any more.

    What the provider has already accepted is paid, so it is watched to its end and its results are kept.
    """
    try:
        count, wire = lifecycle.cancel(mission_id, actor=actor)
    except lifecycle.LostRace:
        raise NotPossible(_state_message(mission_id, "cancel")) from None
    return Stopped(cancelled_count=count, still_sending=_wait_for_answers(wire))


def delete_mission(*, mission_id: int, actor: str) -> Stopped:
    """Stop for good, and remove the mission with its files as soon as nothing of it is in flight."""
    wire = lifecycle.request_deletion(mission_id, actor=actor)
    stopped = Stopped(still_sending=_wait_for_answers(wire))
    purge_mission(mission_id=mission_id)
    return stopped


def purge_mission(*, mission_id: int) -> bool:
    """Remove a mission that is marked for removal and has nothing in flight.  Files go first, so that none stays behind."""
    mission = Mission.objects.filter(
        pk=mission_id, delete_requested_at__isnull=False, submitting_count=0, processing_count=0
    ).first()
    if mission is None:
        return False
    lifecycle.abandon_outputs(mission_id)
    archive.remove_files(mission)
    mission.delete()
    return True


def _wait_for_answers(attempt_ids: Sequence[int]) -> list[int]:
    """Wait until the attempts on the wire got their answers.  Returns those that did not within SETTLE_SECONDS."""
    deadline = time.monotonic() + SETTLE_SECONDS
    sending = Attempt.objects.filter(pk__in=attempt_ids, status=AttemptStatus.SENDING)
    while attempt_ids and time.monotonic() < deadline:
        if not sending.exists():
            return []
        time.sleep(0.05)
    return list(sending.values_list("pk", flat=True))


# --- Again ---


def retry_failed(
    *, mission_id: int, actor: str, error_code: str | None = None, indexes: Sequence[int] | None = None
) -> int:
    """Submit failed items again, which costs money: all, those of one cause, or those at ``indexes``.

    Items that did not fail are never touched.  Returns how many were put back.
    """
    items: QuerySet[MissionItem] = MissionItem.objects.all()
    if error_code is not None:
        items = items.filter(error_code=error_code)
    if indexes is not None:
        items = items.filter(index__in=indexes)
    with transaction.atomic():
        try:
            count = lifecycle.retry_failed(mission_id, items, actor=actor, reason="Retried by a person.")
        except lifecycle.LostRace:
            raise NotPossible(_state_message(mission_id, "retry")) from None
        if count:
            _wake(Mission.objects.get(pk=mission_id))
    return count


def resolve_as_not_run(*, item: MissionItem, actor: str) -> None:
    """A person looked at the provider's site: the submission never ran.  The item is submitted again."""
    attempt = _unconfirmed_attempt(item)
    with transaction.atomic():
        if not lifecycle.declare_not_run(attempt.pk, actor=actor, reason="A person found that it never ran."):
            raise NotPossible(
                "The provider has just reported a task for this item, or somebody else resolved it. "
                "Look again in a minute: nothing has to be paid twice."
            )
        _wake(Mission.objects.get(pk=item.mission_id))


def resolve_with_task(*, item: MissionItem, remote_task_id: str) -> None:
    """A person found the task at the provider: attach it, and fetch its result without paying again."""
    attempt = _unconfirmed_attempt(item)
    try:
        attached = engine.attach(attempt.pk, remote_task_id)
    except ProviderError as error:
        raise NotPossible(f"The provider could not be asked about the task: {error}. Try again.") from error
    if not attached:
        raise NotPossible("The provider does not know this task, or it belongs to another item. Check the id.")


# --- Reference files ---


def delete_media(*, media: MediaFile) -> None:
    """Remove an uploaded image.  Raises NotPossible while a mission that has not ended names it, DoesNotExist if it is gone.

    The file's row is locked as ``references.note_uses`` locks it: either the new mission is seen here, or it finds the file gone.
    A mission that has ended lets go: to retry it then fails those items, for free, with a message that names the file.
    """
    with transaction.atomic():
        media = MediaFile.objects.select_for_update().get(pk=media.pk)
        mission = references.needed_by(media)
        if mission is not None:
            raise NotPossible(
                f"{media.name} is needed by mission {mission.pk} ({mission.name}), which is {mission.get_status_display()}: "
                "cancel that first, or wait for its end."
            )
        references.let_go(media)
        media_services.delete_media(media=media)


def _unconfirmed_attempt(item: MissionItem) -> Attempt:
    attempt = item.attempts.filter(status=AttemptStatus.UNCONFIRMED).first()
    if attempt is None:
        raise NotPossible("The item is not unconfirmed: there is nothing to resolve.")
    return attempt


def _state_message(mission_id: int, verb: str) -> str:
    status = MissionStatus(Mission.objects.values_list("status", flat=True).get(pk=mission_id))
    return f"A mission that is {status.label} cannot be given “{verb}”."
