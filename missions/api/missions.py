"""``/missions``: create, list, show, change, stop, resume, retry and delete missions."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, cast

from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _
from ninja import Path, Query, Router, Status

from core.api.ids import RowId
from core.api.openapi import header_refs
from core.api.pagination import page_of
from core.api.query_names import allow_prefixes
from core.errors import FieldError, Invalid
from core.money import amount_text
from missions import selectors, services
from missions.api.schemas.missions import (
    CancelledOut,
    DeletedOut,
    MissionChangeIn,
    MissionDetailOut,
    MissionFilterIn,
    MissionIn,
    MissionOut,
    MissionPage,
    RetriedOut,
    RetryIn,
    StateOut,
    StoppedOut,
    SubmittedOut,
    ValidationOut,
    pending_files,
)
from missions.links import mission_path, mission_urls
from missions.models import Mission
from missions.services import MissionInvalid, Retried, Stopped

router = Router(tags=["Missions"])

METADATA = "metadata."  # begins the name of a filter
METADATA_NAME = re.compile(r"(?!-?[0-9]+$)[^\0]{1,200}")


@router.post(
    "/submit",
    response={202: SubmittedOut, 200: ValidationOut},
    summary="Submit a mission",
    openapi_extra={"responses": {202: {"headers": header_refs("Location")}}},
)
@router.post(
    "",
    response={202: SubmittedOut, 200: ValidationOut},
    summary="Submit a mission",
    operation_id="create_mission",
    openapi_extra={"responses": {202: {"headers": header_refs("Location")}}},
)
def submit_mission(
    request: HttpRequest, response: HttpResponse, payload: MissionIn, validate_only: bool = False
) -> Status[Any]:
    """Check every row, then create the mission.

    With any error, nothing is stored and nothing is charged.

    `validate_only=true` returns 200 with the number of items, the price and all errors, and creates
    nothing. Unknown names in the body or in the query are errors, so that a typo never costs money.
    """
    user = caller(request)
    if payload.allow_free_form and not user.is_staff:
        raise PermissionDenied
    params = dict(payload.config)
    rows = params.pop("batch_input", None)
    names = (
        "name",
        "description",
        "model",
        "provider",
        "repeat",
        "template_id",
        "metadata",
        "spending_limit",
        "allow_free_form",
    )
    arguments: dict[str, Any] = {
        "owner": user,
        "task_type": payload.task_type.value,
        "rows": rows,
        "params": params,
        **{name: getattr(payload, name) for name in names},
    }
    if validate_only:
        errors = payload.problems.copy()
        invalid_fields = {error.field for error in errors}
        draft = None
        try:
            if not invalid_fields & {"task_type", "config"}:  # they decide how rows are read
                draft = services.validate_mission(**arguments)
        except MissionInvalid as invalid:
            errors += [error for error in invalid.request_errors if error.field not in invalid_fields]
        valid = not errors
        result = {
            "valid": valid,
            "total_count": len(rows) * payload.repeat if isinstance(rows, list) else 0,
            "estimate": {"amount": amount_text(draft.estimated_cost), "currency": draft.model.currency}
            if draft and valid
            else None,
            "errors": [{"field": error.field, "message": error.message} for error in errors[: services.MAX_ERRORS]],
        }
        return Status(200, result)
    mission = services.submit_mission(
        **arguments,
        priority=payload.priority,
        not_before=payload.not_before,
        max_attempts=payload.max_attempts,
        on_created=lambda mission: _remember(request, 202, submitted(mission), {"Location": mission_path(mission.pk)}),
    )
    response["Location"] = mission_path(mission.pk)
    return Status(202, submitted(mission))


@router.get("", response=MissionPage, summary="List missions")
@allow_prefixes(METADATA)
def list_missions(request: HttpRequest, filters: Query[MissionFilterIn]) -> dict[str, Any]:
    """Newest first.

    `metadata.KEY=value` finds missions by your own data; several must all match. With `cursor`
    (`next_cursor` of the page before) you see each mission once while others are created or
    deleted, in an order by `created_at`.
    """
    criteria = filters.dict(exclude={"page", "page_size", "cursor", "status"})
    metadata = {
        name.removeprefix(METADATA): str(request.GET[name]) for name in request.GET if name.startswith(METADATA)
    }
    for name in metadata:
        if not METADATA_NAME.fullmatch(name):
            message = _("Give a name of your metadata, such as metadata.order. A number is no name.")
            raise Invalid([FieldError(f"{METADATA}{name}", message)])
    missions = selectors.find_missions(
        Mission.objects.visible_to(caller(request)), statuses=filters.status, metadata=metadata, **criteria
    )
    page = page_of(missions.defer(None).defer("params"), filters, stable=["created_at"])
    pending_files(*page["items"])
    return page


@router.get("/{mission_id}", response=MissionDetailOut, summary="Show a mission", url_name="mission")
def show_mission(request: HttpRequest, mission_id: Path[RowId]) -> Mission:
    """With the first page of its items."""
    return visible_mission(request, mission_id)


@router.patch(
    "/{mission_id}",
    response=MissionOut,
    summary="Change a mission's name, description, priority, spending limit or metadata",
)
def change_mission(request: HttpRequest, mission_id: Path[RowId], payload: MissionChangeIn) -> Mission:
    visible_mission(request, mission_id)
    return services.change_mission(mission_id=mission_id, **payload.dict(exclude_unset=True))


@router.delete("/{mission_id}", response={200: DeletedOut, 202: DeletedOut}, summary="Delete a mission")
def delete_mission(request: HttpRequest, mission_id: Path[RowId]) -> Status[Any]:
    """Stop it for good and delete it. 200: deleted, with its files. 202: some items are in flight
    and paid; the mission is hidden now and deleted when they have ended.
    """
    visible_mission(request, mission_id)
    stopped = services.delete_mission(mission_id=mission_id, actor=actor(request))
    result = {
        "api_mission_id": mission_id,
        "is_removed": stopped.is_removed,
        "still_sending_count": len(stopped.still_sending),
    }
    return Status(200 if stopped.is_removed else 202, result)


@router.post("/{mission_id}/cancel", response=CancelledOut, summary="Cancel a mission")
def cancel_mission(request: HttpRequest, mission_id: Path[RowId]) -> dict[str, Any]:
    """Nothing more is sent once this returns.

    Tasks that the provider accepted before are paid; their results are kept.
    """
    visible_mission(request, mission_id)
    stopped = services.cancel_mission(mission_id=mission_id, actor=actor(request))
    return {**_stopped(mission_id, stopped), "cancelled_count": stopped.cancelled_count}


@router.post("/{mission_id}/pause", response=StoppedOut, summary="Pause a mission")
def pause_mission(request: HttpRequest, mission_id: Path[RowId]) -> dict[str, Any]:
    """Nothing more is sent once this returns, until the mission is resumed."""
    visible_mission(request, mission_id)
    return _stopped(mission_id, services.pause_mission(mission_id=mission_id, actor=actor(request)))


@router.post("/{mission_id}/resume", response=StateOut, summary="Resume a mission")
def resume_mission(request: HttpRequest, mission_id: Path[RowId]) -> dict[str, Any]:
    visible_mission(request, mission_id)
    services.resume_mission(mission_id=mission_id, actor=actor(request))
    return _state(mission_id)


@router.post("/{mission_id}/retry", response=RetriedOut, summary="Retry failed items")
def retry_mission(request: HttpRequest, mission_id: Path[RowId], payload: RetryIn | None = None) -> dict[str, Any]:
    """Submit failed items again, which costs money: all of them, those with an error code, or those
    at some indexes. Items that did not fail are never touched. The estimate is the price of one
    attempt for each.
    """
    visible_mission(request, mission_id)
    selection = {} if payload is None else payload.dict(exclude_unset=True)
    result = services.retry_failed(
        mission_id=mission_id, actor=actor(request), on_done=remember_retry(request, mission_id), **selection
    )
    return retried(mission_id, result)


# --- Shared by the operations ---


def caller(request: HttpRequest) -> User:
    return cast(User, request.user)


def actor(request: HttpRequest) -> str:
    """Return the caller's name in events: ``user:ID``."""
    return f"user:{request.user.pk}"


def visible_mission(request: HttpRequest, mission_id: int) -> Mission:
    """Return a mission that the caller may see. Raises Http404."""
    return get_object_or_404(Mission.objects.visible_to(request.user), pk=mission_id)


def submitted(mission: Mission) -> dict[str, Any]:
    """Return the response to a submission, in plain JSON values."""
    return {
        "api_mission_id": mission.pk,
        "total_count": mission.total_count,
        "status": str(mission.status),
        "estimate": {"amount": amount_text(mission.estimated_cost), "currency": mission.currency},
        "urls": mission_urls(mission.pk),
    }


def retried(mission_id: int, result: Retried) -> dict[str, Any]:
    """Return the response to a retry, in plain JSON values."""
    estimate = {"amount": amount_text(result.estimate), "currency": result.currency}
    return {**_state(mission_id), "retry_count": result.count, "estimate": estimate}


def remember_retry(request: HttpRequest, mission_id: int) -> Callable[[Retried], None]:
    """Return the callback that stores a retry's response in its transaction, so that a repeat never
    pays twice.
    """
    return lambda result: _remember(request, 200, retried(mission_id, result))


def _remember(
    request: HttpRequest, status: int, response: dict[str, Any], headers: dict[str, str] | None = None
) -> None:
    """Store the response under the request's Idempotency-Key, if it has one."""
    claim = getattr(request, "idempotency", None)
    if claim is not None:
        claim.remember(status, response, headers)


def _state(mission_id: int) -> dict[str, Any]:
    status = Mission.objects.values_list("status", flat=True).get(pk=mission_id)
    return {"api_mission_id": mission_id, "status": status}


def _stopped(mission_id: int, stopped: Stopped) -> dict[str, Any]:
    return {**_state(mission_id), "still_sending_count": len(stopped.still_sending)}
