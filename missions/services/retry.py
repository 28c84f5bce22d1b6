"""Submit failed items again, and resolve unconfirmed ones."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from accounts.audit import services as audit
from accounts.audit.models import Verb
from core.db import bulk
from core.db.values import is_storable
from core.errors import FieldError, NotPossible
from core.money import amount_text
from missions import execution, lifecycle, reasons, search
from missions.models import Attempt, AttemptStatus, ItemStatus, Mission, MissionItem
from missions.references import output_errors
from missions.services.control import refusal, require_active_owner
from missions.services.create import record_file_uses
from missions.services.naming import origin_of, stem_for
from missions.services.validate import UNSTORABLE, MissionInvalid, shared_error, total_price
from providers import catalog, provider_accounts, references
from providers.adapters.errors import ProviderError
from providers.catalog import ParamsInvalid


@dataclass(frozen=True, slots=True)
class Retried:
    """The number of items pending again, and the price of an attempt of each (None: unknown)."""

    count: int
    estimate: Decimal | None
    currency: str


def retry_failed(
    *,
    mission_id: int,
    actor: str,
    error_code: str | None = None,
    error_codes: Collection[str] | None = None,
    has_edited: bool = False,
    indexes: Sequence[int] | None = None,
    at_most: int | None = None,
    on_done: Callable[[Retried], None] | None = None,
) -> Retried:
    """Submit failed items again, which costs money.

    These are all, those of one cause, of several causes, or those at ``indexes``; ``has_edited``
    adds to ``error_codes`` the items whose parameters a person has changed since they failed. Items
    that did not fail are never touched. ``at_most`` is how many a person agreed to pay for.
    ``on_done`` is called in the same transaction. Raises NotPossible.
    """
    failed = MissionItem.objects.filter(mission_id=mission_id, status=ItemStatus.FAILED)
    if error_code is not None:
        failed = failed.filter(error_code=error_code)
    if error_codes is not None:
        chosen = Q(error_code__in=error_codes)
        failed = failed.filter(chosen | Q(edited_at__isnull=False) if has_edited else chosen)
    with transaction.atomic():
        # Locked, so that exactly the priced items are retried.
        mission = Mission.objects.select_for_update(no_key=True).get(pk=mission_id)
        require_active_owner(mission_id)
        rows = dict(failed.order_by("index").values_list("index", "params"))
        if indexes is not None:
            rows = {index: rows[index] for index in sorted(set(indexes) & rows.keys())}
        if at_most is not None and len(rows) > at_most:
            raise NotPossible(_("More items have failed meanwhile. Check the new price, then retry them."))
        retried = _requeue(mission, rows, actor=actor)
        if retried.count:
            audit.record(Verb.MISSION_RETRY, mission, actor=actor, **_facts(retried), error_code=error_code)
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

    They are checked before anything changes; ``allow_free_form`` accepts those of a model that is
    not in the catalogue. ``on_done`` is called in the same transaction. Raises MissionInvalid, or
    NotPossible when the item did not fail.
    """
    own = item.params if params is None else own_params(item, params, allow_free_form)
    with transaction.atomic():
        mission = Mission.objects.select_for_update(no_key=True).get(pk=item.mission_id)
        require_active_owner(mission.pk)
        retried = _requeue(mission, {item.index: own}, actor=actor, params=own)
        if not retried.count:
            raise NotPossible(_("Only a failed item can be retried, and this one has not failed."))
        model = catalog.model_of(mission)
        media_ids = [media_id for _name, media_id in references.media_ids(model, own)]
        output_keys = [key for _name, key in references.output_keys(model, own)]
        record_file_uses(mission, media_ids, output_keys, field="params")
        if params is not None:
            origin = origin_of(item, own)
            MissionItem.objects.filter(pk=item.pk).update(origin=origin, file_name=stem_for(item, own, origin))
            search.mark_changed(mission.pk, first=item.index, last=item.index)
        audit.record(Verb.MISSION_RETRY, mission, actor=actor, **_facts(retried), item=item.index)
        if on_done is not None:
            on_done(retried)
    return retried


def resolve_as_not_run(*, item: MissionItem, actor: str) -> None:
    """Record that a person checked at the provider that the submission never ran.

    The item is submitted again.
    """
    attempt = _unconfirmed_attempt(item)
    require_active_owner(item.mission_id)
    with transaction.atomic():
        if not lifecycle.void_unconfirmed(attempt.pk, actor=actor, reason=reasons.NOT_RUN()):
            raise NotPossible(
                _(
                    "The provider has just reported a task for this item, or somebody else resolved it. "
                    "Look again in a minute, so that nothing is paid twice."
                )
            )
        provider_accounts.wake(item.mission.provider)
        audit.record(Verb.MISSION_RESOLVE, item.mission, actor=actor, item=item.index, not_run=True)


def resolve_with_task(*, item: MissionItem, remote_task_id: str, actor: str) -> None:
    """Attach the task that a person found at the provider, and fetch its result for free."""
    attempt = _unconfirmed_attempt(item)
    try:
        is_attached = execution.attach(attempt.pk, remote_task_id, actor=actor)
    except ProviderError as error:
        message = _("The provider could not be asked about the task: %s. Try again.") % error
        raise NotPossible(message) from error
    if not is_attached:
        raise NotPossible(_("The provider does not know this task, or it belongs to another item. Check the id."))
    audit.record(Verb.MISSION_RESOLVE, item.mission, actor=actor, item=item.index, remote_task_id=remote_task_id)


def _facts(retried: Retried) -> dict[str, Any]:
    """Return what the audit log says about a retry."""
    return {"count": retried.count, "estimate": amount_text(retried.estimate), "currency": retried.currency}


def _unconfirmed_attempt(item: MissionItem) -> Attempt:
    attempt = item.attempts.filter(status=AttemptStatus.UNCONFIRMED).first()
    if attempt is None:
        raise NotPossible(_("The item is not unconfirmed: there is nothing to resolve."))
    return attempt


def _requeue(
    mission: Mission, rows: Mapping[int, Mapping[str, Any]], *, actor: str, params: Mapping[str, Any] | None = None
) -> Retried:
    """Put items back to pending.

    ``rows``: their own parameters by index; ``params``: new ones to store.
    """
    name = audit.actor_name(actor)
    reason = reasons.RETRIED_BY(name=name) if name else reasons.RETRIED()
    count = 0
    parts = [*bulk.batches(list(rows), lifecycle.BATCH)] or [()]  # the mission may forbid it even for no item
    try:
        for part in parts:
            items = MissionItem.objects.filter(index__in=part)
            count += lifecycle.retry_failed(mission.pk, items, actor=actor, reason=reason, params=params)
    except lifecycle.LostRace:
        raise refusal(mission.pk, "retry") from None
    if count:
        provider_accounts.wake(mission.provider)
    model = catalog.model_of(mission)
    estimate = total_price(model, (mission.params | own for own in rows.values()))
    return Retried(count=count, estimate=estimate, currency=mission.currency)


def own_params(
    item: MissionItem, params: Mapping[str, Any], allow_free_form: bool, *, has_checked_files: bool = False
) -> dict[str, Any]:
    """Return an item's own parameters with some replaced. Raises MissionInvalid.

    ``has_checked_files``: the files that ``params`` name were checked for another item.
    """
    mission = item.mission
    model = catalog.model_of(mission)
    if model.is_free_form and not allow_free_form:
        message = _("%s is not in the catalogue, so only an operator may change its parameters.") % mission.model
        raise MissionInvalid([FieldError("params", message)])
    if not is_storable(params):
        raise MissionInvalid([FieldError("params", _(UNSTORABLE))])
    try:
        merged = model.clean(mission.params | item.params | params)
    except ParamsInvalid as invalid:
        raise MissionInvalid([shared_error(error) for error in invalid.errors]) from None
    errors = []
    if not has_checked_files:
        outputs = [(name, name, key) for name, key in references.output_keys(model, params)]
        file_errors = references.params_file_errors(mission.owner_id, model, params)
        errors += [shared_error(error) for error in (*file_errors, *output_errors(mission.owner_id, model, outputs))]
    errors += [
        FieldError(
            f"params.{name}",
            _("All items of the mission share this parameter, so it cannot be blank here. Enter another value."),
        )
        for name in mission.params
        if name not in merged
    ]
    if errors:
        raise MissionInvalid(errors)
    return {name: value for name, value in merged.items() if mission.params.get(name) != value}
