"""People's verbs: create, cancel, pause, resume, retry, resolve, delete.

Called by every interface.  Keyword-only; ``actor`` is whoever asks ("user:7").  Bad input raises ``MissionInvalid`` with
every error at once; a verb that does not fit the mission's state raises ``NotPossible`` with a sentence for people.

Those sentences are in the reader's language.  What is kept in a row (``reason``) is not: see ``core.translated_reasons``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from types import EllipsisType
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop

from billing.models import SpendingLimit
from core.db import bulk
from core.db.transactions import durable_transaction
from core.db.values import storable
from core.errors import FieldError, Invalid, NotPossible
from media.models import MediaFile
from media.uses import record_uses
from missions import execution, lifecycle, purge, references, selectors
from missions.models import Attempt, AttemptStatus, ItemStatus, Mission, MissionItem, MissionStatus, Output
from providers import catalog, provider_accounts
from providers.adapters.errors import ProviderError
from providers.catalog import ParamsInvalid
from providers.catalog.task_types import TaskType
from templates_app.models import MissionTemplate

MAX_ERRORS = 1000
MOST_MONEY = Decimal(10) ** 10  # what a column takes
MAX_METADATA_BYTES = 16 * 1024
PAUSED_BY_A_PERSON = gettext_noop("Paused by a person.")
UNSTORABLE = gettext_noop(
    "Holds something that cannot be kept: a character like NUL, a number without end, or too many levels."
)
_REFUSALS = {
    "pause": gettext_lazy("A mission that is %(status)s cannot be paused."),
    "resume": gettext_lazy("A mission that is %(status)s cannot be resumed."),
    "cancel": gettext_lazy("A mission that is %(status)s cannot be cancelled."),
    "retry": gettext_lazy("Items of a mission that is %(status)s cannot be retried."),
}


RESTORED = gettext_noop(
    "The database was restored from a copy: what waits here may have been sent, and paid, since the copy was made."
)


class MissionInvalid(Invalid):
    """The mission cannot be created.  Nothing was stored and nothing is charged; ``errors`` names every field.

    ``batch_input.3.prompt`` is a parameter of the fourth row, ``params.prompt`` one that all rows share; other names are
    arguments of ``create_mission``.
    """

    @property
    def request_errors(self) -> Sequence[FieldError]:
        """The problems, with their paths in a request body: rows and parameters are in ``config``."""
        return [FieldError(place_in_body(error.field), error.message) for error in self.errors]


def place_in_body(field: str) -> str:
    """Return the path that the field of a mission's error has in a request body."""
    head, _dot, rest = field.partition(".")
    if head == "params":
        return f"config.{rest}" if rest else "config"
    return f"config.{field}" if head == "batch_input" else field


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
    """The effect of a stop.

    ``still_sending``: attempts whose request was sent before the stop and has no answer yet. They
    may be paid. No other attempt of the mission is sent.
    """

    cancelled_count: int = 0
    still_sending: list[int] = field(default_factory=list)
    is_removed: bool = False


@dataclass(frozen=True, slots=True)
class Retried:
    """How many items were put back, and what one attempt of each costs; None when a price is not known."""

    count: int
    estimate: Decimal | None
    currency: str


@dataclass(frozen=True, slots=True)
class _Row:
    """A row that is right: its own parameters as they were given, and all that it is sent with."""

    number: int
    own: dict[str, Any]
    params: dict[str, Any]
    custom_id: str


# --- Create ---


def draft_mission(
    *,
    owner: AbstractBaseUser,
    task_type: str,
    rows: Iterable[str | Mapping[str, Any]],
    params: Mapping[str, Any] | None = None,
    model: str = "",
    repeat: int = 1,
    template_id: int | None = None,
    allow_free_form: bool = False,
) -> Draft:
    """Check everything about a mission and price it, without storing anything.

    ``rows``: a string fills the model's batch field; an object overrides ``params`` for that item and may carry
    ``custom_id``.  ``repeat`` makes each row that many items.  A template of the owner's fills ``model`` and ``params`` where
    they are silent.  ``allow_free_form`` admits an endpoint that is not in the catalogue, whose parameters nobody can check.
    Raises MissionInvalid with what is wrong in all rows, up to MAX_ERRORS; what is wrong with a shared parameter is told once.
    """
    shared = dict(params or {})
    if template_id is not None:
        saved = _template_config(owner, template_id, task_type)
        model, shared = model or saved.get("model") or "", saved.get("params", {}) | shared
    chosen = _choose_model(task_type, model, allow_free_form)
    given = _read_rows(rows, repeat)
    errors = _check_shared(chosen, shared, given)
    told = {error.field for error in errors}
    right = {name: value for name, value in shared.items() if name not in told}
    checked, row_errors = _check_rows(chosen, right, given, told)
    errors = [_shared_error(error) for error in errors] + row_errors
    errors += _missing_files(owner.pk, chosen, right, checked)
    if errors:
        raise MissionInvalid(errors[:MAX_ERRORS])
    common = _common(chosen, [row.params for row in checked])
    price = _total_price(chosen, (row.params for row in checked))
    return Draft(
        model=chosen,
        params=common,
        rows=[{name: row.params[name] for name in row.params if name not in common} for row in checked] * repeat,
        custom_ids=[row.custom_id for row in checked] * repeat,
        estimated_cost=None if price is None else price * repeat,
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
    spending_limit: Decimal | None = None,
    allow_free_form: bool = False,
    on_created: Callable[[Mission], None] | None = None,
) -> Mission:
    """Store a mission with all its items, or nothing, and wake the workers.  Arguments as for ``draft_mission``.

    ``on_created`` is called in the transaction of the creation: what it stores is there if and only if the mission is.
    Raises MissionInvalid.
    """
    errors, draft = check_mission(
        name=name,
        description=description,
        metadata=metadata,
        spending_limit=spending_limit,
        owner=owner,
        task_type=task_type,
        rows=rows,
        params=params,
        model=model,
        repeat=repeat,
        template_id=template_id,
        allow_free_form=allow_free_form,
    )
    if draft is None:
        raise MissionInvalid(errors)
    now = timezone.now()
    items = _item_rows(draft)
    with durable_transaction():
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
            spending_limit=spending_limit,
            created_at=now,
        )
        items.write(mission_id=mission.pk, attempt_limit=mission.max_attempts, available_at=now, created_at=now)
        lifecycle.open_mission(mission, actor=f"user:{owner.pk}")
        _keep_files(mission, draft)
        provider_accounts.wake(mission.provider)
        if on_created is not None:
            on_created(mission)
    return mission


def _item_rows(draft: Draft) -> bulk.Table:
    """A draft's items, made ready beforehand: while they are written, nobody else can write to a SQLite database."""
    table = bulk.Table(MissionItem, "index", "custom_id", "params")
    for index, (row, custom_id) in enumerate(zip(draft.rows, draft.custom_ids, strict=True), start=1):
        table.add(index, custom_id, json.dumps(row))
    return table


def check_mission(
    *,
    name: str,
    owner: AbstractBaseUser,
    description: str = "",
    metadata: Mapping[str, Any] | None = None,
    spending_limit: Decimal | None = None,
    **work: Any,
) -> tuple[list[FieldError], Draft | None]:
    """All that is wrong with a mission, and its draft if nothing is.  ``work``: the arguments of ``draft_mission``.

    A mission may cost more than its own limit, which then pauses it; but not more than what its owner may still spend.
    """
    errors = _text_errors(name, description, metadata)
    try:
        draft = draft_mission(owner=owner, **work)
    except MissionInvalid as invalid:
        return errors + invalid.errors, None
    errors += _limit_errors(spending_limit, has_price=draft.estimated_cost is not None)
    errors += _owner_limit_errors(owner, draft)
    return errors, None if errors else draft


def _limit_errors(limit: Decimal | None, *, has_price: bool) -> list[FieldError]:
    """What is wrong with a mission's own limit."""
    if limit is None:
        return []
    if not limit.is_finite() or not 0 < limit < MOST_MONEY or limit != round(limit, 6):
        message = _("Give an amount above 0, with at most six decimals. Leave it out for no limit.")
    elif not has_price:
        message = _(
            "The price of this model is not known, so no limit can be kept. Leave it out, or choose another model."
        )
    else:
        return []
    return [FieldError("spending_limit", message)]


def _owner_limit_errors(owner: AbstractBaseUser, draft: Draft) -> list[FieldError]:
    """Whether the owner may still spend what the mission is expected to cost."""
    limit = SpendingLimit.objects.filter(user=owner.pk).first()
    if limit is None:
        return []
    if draft.estimated_cost is None:
        message = _("You have a spending limit, and the price of this model is not known: choose another model.")
        return [FieldError("model", message)]
    budget = selectors.budget_of(limit, now=timezone.now())
    if draft.estimated_cost <= budget.left:
        return []
    known = {
        "price": f"{draft.estimated_cost:.2f}",
        "left": f"{max(budget.left, Decimal(0)):.2f}",
        "limit": f"{limit.amount:.2f}",
        "period": limit.get_period_display(),
        "currency": draft.model.currency,
    }
    message = _(
        "This costs about %(price)s %(currency)s, and %(left)s is left of your spending limit of %(limit)s %(currency)s "
        "%(period)s. Make fewer items, or ask an operator to raise the limit."
    )
    return [FieldError("batch_input", message % known)]


def _text_errors(name: str, description: str, metadata: Mapping[str, Any] | None) -> list[FieldError]:
    texts = {"name": name, "description": description, "metadata": metadata}
    errors = [FieldError(label, _(UNSTORABLE)) for label, value in texts.items() if not _is_storable(value)]
    if not name.strip():
        errors.append(FieldError("name", _("Give the mission a name.")))
    if not errors and len(json.dumps(metadata)) > MAX_METADATA_BYTES:
        message = _("At most %(limit)s bytes of JSON.") % {"limit": f"{MAX_METADATA_BYTES:,}"}
        errors.append(FieldError("metadata", message))
    return errors


def _is_storable(value: Any) -> bool:
    """Whether every database takes this JSON value as it is."""
    try:
        json.dumps(value, allow_nan=False)
        return bool(storable(value) == value)
    except (ValueError, TypeError, RecursionError):
        return False


def _choose_model(task_type: str, endpoint: str, allow_free_form: bool) -> catalog.Model:
    if task_type not in TaskType.values:
        raise MissionInvalid([FieldError("task_type", _("Choose one of %s.") % ", ".join(TaskType.values))])
    if not endpoint:
        return catalog.default_model(task_type)
    try:
        model = catalog.find_model(endpoint, task_type) if allow_free_form else catalog.get_model(endpoint)
    except (catalog.UnknownModel, ValueError) as error:
        raise MissionInvalid([FieldError("model", str(error))]) from error
    if model.task_type != task_type:
        known = {"model": endpoint, "makes": model.task_type, "wanted": task_type}
        raise MissionInvalid([FieldError("model", _("%(model)s makes %(makes)s, not %(wanted)s.") % known)])
    return model


def _template_config(owner: AbstractBaseUser, template_id: int, task_type: str) -> dict[str, Any]:
    template = MissionTemplate.objects.filter(owner_id=owner.pk, pk=template_id).first()
    if template is None:
        raise MissionInvalid([FieldError("template_id", _("You have no template %s.") % template_id)])
    if template.task_type != task_type:
        message = _("“%(name)s” is a template for %(made_for)s, not %(wanted)s.") % {
            "name": template.name,
            "made_for": template.task_type,
            "wanted": task_type,
        }
        raise MissionInvalid([FieldError("template_id", message)])
    config = template.config
    if not isinstance(config, dict) or not isinstance(config.get("params", {}), dict):
        message = _("“%s” cannot be read: save it again.") % template.name
        raise MissionInvalid([FieldError("template_id", message)])
    return config


def _read_rows(rows: object, repeat: int) -> list[Any]:
    """``rows`` as a list, if they are as many as a mission may hold.  A single text is none: it would be cut to letters."""
    if isinstance(rows, str | Mapping) or not isinstance(rows, Iterable):
        raise MissionInvalid([FieldError("batch_input", _("Give a list of rows."))])
    given = list(rows)
    if repeat < 1:
        raise MissionInvalid([FieldError("repeat", _("Repeat each row at least once."))])
    if not given:
        raise MissionInvalid([FieldError("batch_input", _("Give at least one row."))])
    if too_many := size_problem(len(given) * repeat):
        raise MissionInvalid([too_many])
    return given


def size_problem(count: int) -> FieldError | None:
    """What is wrong with making so many items at once."""
    if count <= settings.MISSION_MAX_ITEMS:
        return None
    message = _("%(count)d items are more than one mission may hold (%(limit)d): split it.") % {
        "count": count,
        "limit": settings.MISSION_MAX_ITEMS,
    }
    return FieldError("batch_input", message)


def _check_shared(model: catalog.Model, shared: Mapping[str, Any], rows: Sequence[Any]) -> list[FieldError]:
    """What is wrong with the parameters that all rows share, and which needed ones no row has."""
    row_names = {model.batch_field}.union(*(row for row in rows if isinstance(row, Mapping)))
    errors = model.check_shared(shared, row_names=row_names)
    if model.is_free_form and not _is_storable(shared):
        errors.append(FieldError("", _(UNSTORABLE)))
    return errors


def _shared_error(error: FieldError) -> FieldError:
    return FieldError(f"params.{error.field}" if error.field else "params", error.message)


def _check_rows(
    model: catalog.Model, shared: dict[str, Any], rows: Sequence[Any], told: set[str]
) -> tuple[list[_Row], list[FieldError]]:
    """The rows that are right, and what is wrong with the others, apart from the shared parameters in ``told``."""
    checked: list[_Row] = []
    errors: list[FieldError] = []
    for number, row in enumerate(rows):
        own: dict[str, Any] = {}
        try:
            own, custom_id = _read_row(model, row)
            checked.append(_Row(number, own, model.clean(shared | own), custom_id))
        except ParamsInvalid as invalid:
            wrong = [error for error in invalid.errors if error.field not in told or error.field in own]
            errors += [FieldError(f"batch_input.{number}.{error.field}", error.message) for error in wrong]
        if len(errors) >= MAX_ERRORS:
            break
    return checked, errors


def _read_row(model: catalog.Model, row: str | Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """An item's own parameters and its custom id."""
    if isinstance(row, str):
        return {model.batch_field: row}, ""
    if not isinstance(row, Mapping):
        raise ParamsInvalid([FieldError(model.batch_field, _("Give a text, or an object of parameters."))])
    own = dict(row)
    custom_id = _read_custom_id(own.pop("custom_id", None))
    if model.is_free_form and not _is_storable(own):
        raise ParamsInvalid([FieldError(model.batch_field, _(UNSTORABLE))])
    return own, custom_id


def _read_custom_id(given: object) -> str:
    if given is None:
        return ""
    if isinstance(given, bool) or not isinstance(given, str | int):
        raise ParamsInvalid([FieldError("custom_id", _("Give a text or a whole number."))])
    custom_id = str(given)
    if len(custom_id) > 200:
        raise ParamsInvalid([FieldError("custom_id", _("At most 200 characters."))])
    if not _is_storable(custom_id):
        raise ParamsInvalid([FieldError("custom_id", _(UNSTORABLE))])
    return custom_id


def _missing_files(
    owner_id: int, model: catalog.Model, shared: Mapping[str, Any], rows: Sequence[_Row]
) -> list[FieldError]:
    """Every file that is named and that the owner does not have, or that the model does not take."""
    named = [(f"params.{name}", name, media_id) for name, media_id in references.media_ids(model, shared)]
    named += [
        (f"batch_input.{row.number}.{name}", name, media_id)
        for row in rows
        for name, media_id in references.media_ids(model, row.own)
    ]
    if not named:
        return []
    files = MediaFile.objects.filter(owner_id=owner_id).in_bulk({media_id for _, _, media_id in named})
    problems = ((place, _file_problem(model, name, files.get(media_id), media_id)) for place, name, media_id in named)
    return [FieldError(place, message) for place, message in problems if message]


def _file_problem(model: catalog.Model, name: str, media: MediaFile | None, media_id: int) -> str:
    if media is None:
        return _("There is no uploaded file %s: upload it first.") % media_id
    described = model.parameter(name)
    if described is None:
        return ""
    kind = media.content_type.rpartition("/")[2].upper().replace("JPEG", "JPG")
    if described.formats and kind not in {format_.replace("JPEG", "JPG") for format_ in described.formats}:
        known = {"name": media.name, "kind": kind, "allowed": ", ".join(described.formats)}
        return _("%(name)s is %(kind)s; this model takes %(allowed)s.") % known
    if described.max_bytes and media.size_bytes > described.max_bytes:
        known = {"name": media.name, "size": f"{media.size_bytes:,}", "limit": f"{described.max_bytes:,}"}
        return _("%(name)s has %(size)s bytes; this model takes at most %(limit)s.") % known
    return ""


def file_problems(owner: AbstractBaseUser, model: catalog.Model, params: Mapping[str, Any]) -> list[FieldError]:
    """What is wrong with the uploaded files that one set of parameters names."""
    named = references.media_ids(model, params)
    files = MediaFile.objects.filter(owner_id=owner.pk).in_bulk({media_id for _, media_id in named})
    found = [(name, _file_problem(model, name, files.get(media_id), media_id)) for name, media_id in named]
    return [FieldError(name, message) for name, message in found if message]


def _keep_files(mission: Mission, draft: Draft) -> None:
    """From here on the mission's files stay until it has ended.  Raises MissionInvalid when one was just removed."""
    _note_files(mission, draft.media_ids, place="batch_input")


def _note_files(mission: Mission, media_ids: Iterable[int], *, place: str) -> None:
    gone = record_uses(mission.pk, media_ids)
    if gone:
        names = ", ".join(f"media:{media_id}" for media_id in gone[:5])
        raise MissionInvalid([FieldError(place, _("%s was removed in the meantime: upload it again.") % names)])


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


def change_mission(
    *,
    mission_id: int,
    name: str | None = None,
    description: str | None = None,
    priority: int | None = None,
    spending_limit: Decimal | EllipsisType | None = ...,
) -> Mission:
    """Rename a mission, describe it anew, let its pending items go sooner or later, let it spend more or less.

    ``spending_limit``: None takes the limit away.  Raises MissionInvalid.
    """
    given = {"name": name, "description": description, "priority": priority}
    changes: dict[str, Any] = {attribute: value for attribute, value in given.items() if value is not None}
    if spending_limit is not ...:
        changes["spending_limit"] = spending_limit
    with transaction.atomic():
        mission = _lock(mission_id)
        for attribute, value in changes.items():
            setattr(mission, attribute, value)
        errors = _text_errors(mission.name, mission.description, None)
        if "spending_limit" in changes:
            errors += _limit_errors(mission.spending_limit, has_price=mission.estimated_cost is not None)
        if errors:
            raise MissionInvalid(errors)
        mission.name = mission.name.strip()
        mission.save(update_fields=[*changes, "updated_at"])
    return mission


# --- Stop and go on ---


def pause_mission(*, mission_id: int, actor: str, reason: str = PAUSED_BY_A_PERSON) -> Stopped:
    """Stop submitting: no further attempt is sent until the mission is resumed.

    Returns at once; the answer names the attempts that are still on the wire.
    """
    try:
        wire = lifecycle.pause(mission_id, actor=actor, reason=reason)
    except lifecycle.LostRace:
        raise NotPossible(_state_message(mission_id, "pause")) from None
    return Stopped(still_sending=wire)


def pause_after_key_change(provider: str) -> int:
    """Pause every open mission of a provider: it was made for another key and must not spend unasked.

    Returns how many were paused.
    """
    return _hold(
        gettext_noop("The API key or the provider's address has changed. Resume to go on, and pay, with the new one."),
        provider,
    )


def pause_after_restore() -> int:
    """Pause every account, and every open mission: of what waits in a copy of the database, some may have been sent since.

    Returns how many missions were paused.
    """
    provider_accounts.sync_env_key()  # now: a key that is new to the copy would end the pause when workers start
    provider_accounts.block_all(reason=RESTORED)
    return _hold(RESTORED)


def _hold(reason: str, provider: str = "") -> int:
    held = 0
    active = Mission.objects.filter(status__in=[MissionStatus.SCHEDULED, MissionStatus.QUEUED, MissionStatus.RUNNING])
    if provider:
        active = active.filter(provider=provider)
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
        provider_accounts.wake(Mission.objects.values_list("provider", flat=True).get(pk=mission_id))


def cancel_mission(*, mission_id: int, actor: str) -> Stopped:
    """Stop for good: no further attempt of the mission is sent.

    Returns at once; the answer names the attempts that are still on the wire. Accepted tasks are
    paid, so they are polled to their end and their results are kept.
    """
    try:
        count, wire = lifecycle.cancel(mission_id, actor=actor)
    except lifecycle.LostRace:
        raise NotPossible(_state_message(mission_id, "cancel")) from None
    return Stopped(cancelled_count=count, still_sending=wire)


def delete_mission(*, mission_id: int, actor: str) -> Stopped:
    """Stop for good, and remove the mission with its files as soon as nothing of it is in flight."""
    wire = lifecycle.request_deletion(mission_id, actor=actor)
    return Stopped(still_sending=wire, is_removed=purge.purge_mission(mission_id))


# --- Again ---


def retry_failed(
    *,
    mission_id: int,
    actor: str,
    error_code: str | None = None,
    indexes: Sequence[int] | None = None,
    at_most: int | None = None,
    on_done: Callable[[Retried], None] | None = None,
) -> Retried:
    """Submit failed items again, which costs money: all, those of one cause, or those at ``indexes``.

    Items that did not fail are never touched.  ``at_most``: how many a person agreed to pay for.  ``on_done`` is called in the
    same transaction.  Raises NotPossible.
    """
    chosen = MissionItem.objects.filter(mission_id=mission_id, status=ItemStatus.FAILED)
    if error_code is not None:
        chosen = chosen.filter(error_code=error_code)
    with transaction.atomic():
        mission = _lock(mission_id)  # what is priced is what is put back
        rows = dict(chosen.order_by("index").values_list("index", "params"))
        if indexes is not None:
            wanted = set(indexes)
            rows = {index: params for index, params in rows.items() if index in wanted}
        if at_most is not None and len(rows) > at_most:
            raise NotPossible(_("More items have failed in the meantime: look at the new price, and retry them then."))
        retried = _put_back(mission, rows, actor=actor)
        if on_done is not None:
            on_done(retried)
    return retried


def retry_item(
    *,
    item: MissionItem,
    actor: str,
    params: Mapping[str, Any] | None = None,
    allow_free_form: bool = False,
    on_done: Callable[[Retried], None] | None = None,
) -> Retried:
    """Submit one failed item again, which costs money; ``params`` replace some of its parameters.

    They are checked before anything changes; ``allow_free_form`` admits those of a model that is not in the catalogue.
    ``on_done`` is called in the same transaction.  Raises MissionInvalid, or NotPossible when the item did not fail.
    """
    own = item.params if params is None else _own_params(item, params, allow_free_form)
    with transaction.atomic():
        mission = _lock(item.mission_id)
        retried = _put_back(mission, {item.index: own}, actor=actor, params=own)
        if not retried.count:
            raise NotPossible(_("Only a failed item can be retried, and this one is not (any more)."))
        model = catalog.find_model(mission.model, mission.task_type)
        _note_files(mission, [media_id for _, media_id in references.media_ids(model, own)], place="params")
        if on_done is not None:
            on_done(retried)
    return retried


def _lock(mission_id: int) -> Mission:
    return Mission.objects.select_for_update(no_key=True).get(pk=mission_id)


def _put_back(
    mission: Mission, rows: Mapping[int, Mapping[str, Any]], *, actor: str, params: Mapping[str, Any] | None = None
) -> Retried:
    """Put the items at these places back.  ``rows`` holds their own parameters, ``params`` new ones to store."""
    count = 0
    parts = [*bulk.batches(list(rows), lifecycle.BATCH)] or [()]  # the mission may forbid it even for no item
    try:
        for part in parts:
            items = MissionItem.objects.filter(index__in=part)
            count += lifecycle.retry_failed(
                mission.pk, items, actor=actor, reason=gettext_noop("Retried by a person."), params=params
            )
    except lifecycle.LostRace:
        raise NotPossible(_state_message(mission.pk, "retry")) from None
    if count:
        provider_accounts.wake(mission.provider)
    model = catalog.find_model(mission.model, mission.task_type)
    estimate = _total_price(model, (mission.params | own for own in rows.values()))
    return Retried(count=count, estimate=estimate, currency=mission.currency)


def _own_params(item: MissionItem, params: Mapping[str, Any], allow_free_form: bool) -> dict[str, Any]:
    """An item's own parameters with some replaced.  Raises MissionInvalid."""
    mission = item.mission
    model = catalog.find_model(mission.model, mission.task_type)
    if model.is_free_form and not allow_free_form:
        message = _("%s is not in the catalogue: only an operator may change what nobody can check.") % mission.model
        raise MissionInvalid([FieldError("params", message)])
    if not _is_storable(params):
        raise MissionInvalid([FieldError("params", _(UNSTORABLE))])
    try:
        merged = model.clean(mission.params | item.params | params)
    except ParamsInvalid as invalid:
        raise MissionInvalid([_shared_error(error) for error in invalid.errors]) from None
    errors = _missing_files(mission.owner_id, model, params, [])
    errors += [
        FieldError(f"params.{name}", _("All items of this mission have it: give another value."))
        for name in mission.params
        if name not in merged
    ]
    if errors:
        raise MissionInvalid(errors)
    return {name: value for name, value in merged.items() if mission.params.get(name) != value}


def resolve_as_not_run(*, item: MissionItem, actor: str) -> None:
    """A person looked at the provider's site: the submission never ran.  The item is submitted again."""
    attempt = _unconfirmed_attempt(item)
    with transaction.atomic():
        if not lifecycle.void_unconfirmed(
            attempt.pk, actor=actor, reason=gettext_noop("A person found that it never ran.")
        ):
            raise NotPossible(
                _(
                    "The provider has just reported a task for this item, or somebody else resolved it. "
                    "Look again in a minute: nothing has to be paid twice."
                )
            )
        provider_accounts.wake(item.mission.provider)


def resolve_with_task(*, item: MissionItem, remote_task_id: str, actor: str) -> None:
    """A person found the task at the provider: attach it, and fetch its result without paying again."""
    attempt = _unconfirmed_attempt(item)
    try:
        attached = execution.attach(attempt.pk, remote_task_id, actor=actor)
    except ProviderError as error:
        message = _("The provider could not be asked about the task: %s. Try again.") % error
        raise NotPossible(message) from error
    if not attached:
        raise NotPossible(_("The provider does not know this task, or it belongs to another item. Check the id."))


# --- Results ---


def star_results(*, mission_id: int, indexes: Sequence[int], is_starred: bool) -> int:
    """Mark the results of the items at these places, or take the mark away.  Returns how many results changed."""
    outputs = Output.objects.filter(item__mission=mission_id, item__index__in=indexes, is_starred=not is_starred)
    return outputs.update(is_starred=is_starred)


def _unconfirmed_attempt(item: MissionItem) -> Attempt:
    attempt = item.attempts.filter(status=AttemptStatus.UNCONFIRMED).first()
    if attempt is None:
        raise NotPossible(_("The item is not unconfirmed: there is nothing to resolve."))
    return attempt


def _state_message(mission_id: int, verb: str) -> str:
    status = MissionStatus(Mission.objects.values_list("status", flat=True).get(pk=mission_id))
    return _REFUSALS[verb] % {"status": status.label}
