"""``/missions``: create, list, watch, stop, go on, retry, remove."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _
from ninja import Path, Query, Router, Status

from core.api.ids import RowId
from core.api.pagination import page_of
from core.errors import FieldError
from missions import selectors, services
from missions.api.schemas import (
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
    money,
    path_of,
    urls_of,
)
from missions.models import Mission
from missions.services import MissionInvalid, Retried, Stopped, place_in_body

router = Router(tags=["Missions"])


@router.post("/submit", response={202: SubmittedOut, 200: ValidationOut}, summary="Submit a mission")
@router.post(
    "", response={202: SubmittedOut, 200: ValidationOut}, summary="Submit a mission", operation_id="create_mission"
)
def submit_mission(
    request: HttpRequest, response: HttpResponse, payload: MissionIn, validate_only: bool = False
) -> Status[Any]:
    """Every row is checked first: one mistake anywhere, and nothing is stored and nothing paid.

    `validate_only=true` answers 200 with the number of items, the price and all errors, and creates nothing. Unknown names in
    the body or in the query are errors, so that a typo never costs money.
    """
    _require_known(request, "validate_only")
    user = caller(request)
    if payload.allow_free_form and not user.is_staff:
        raise PermissionDenied
    arguments = _arguments(user, payload)
    if validate_only:
        return Status(200, _verdict(payload, arguments))
    mission = services.create_mission(
        **arguments,
        priority=payload.priority,
        not_before=payload.not_before,
        max_attempts=payload.max_attempts,
        on_created=lambda mission: _remember(request, 202, submitted(mission), {"Location": path_of(mission.pk)}),
    )
    response["Location"] = path_of(mission.pk)
    return Status(202, submitted(mission))


@router.get("", response=MissionPage, summary="List missions")
def list_missions(request: HttpRequest, wanted: Query[MissionFilterIn]) -> dict[str, Any]:
    chosen = wanted.dict(exclude={"page", "page_size"})
    return page_of(selectors.find_missions(Mission.objects.visible_to(caller(request)), **chosen), wanted)


@router.get("/{mission_id}", response=MissionDetailOut, summary="Show a mission", url_name="mission")
def show_mission(request: HttpRequest, mission_id: Path[RowId]) -> Mission:
    """With the first page of its items."""
    return visible_mission(request, mission_id)


@router.patch(
    "/{mission_id}", response=MissionOut, summary="Rename a mission, change its priority or its spending limit"
)
def change_mission(request: HttpRequest, mission_id: Path[RowId], payload: MissionChangeIn) -> Mission:
    visible_mission(request, mission_id)
    return services.change_mission(mission_id=mission_id, **payload.dict(exclude_unset=True))


@router.delete("/{mission_id}", response={200: DeletedOut, 202: DeletedOut}, summary="Remove a mission")
def delete_mission(request: HttpRequest, mission_id: Path[RowId]) -> Status[Any]:
    """Stops it for good. 200: it is gone, with its files. 202: something of it is in flight, which is paid; it is not shown any
    more, and goes by itself when that has ended."""
    visible_mission(request, mission_id)
    stopped = services.delete_mission(mission_id=mission_id, actor=actor(request))
    answer = {
        "api_mission_id": mission_id,
        "is_removed": stopped.is_removed,
        "still_sending_count": len(stopped.still_sending),
    }
    return Status(200 if stopped.is_removed else 202, answer)


@router.post("/{mission_id}/cancel", response=CancelledOut, summary="Cancel a mission")
def cancel_mission(request: HttpRequest, mission_id: Path[RowId]) -> dict[str, Any]:
    """When this answers, nothing more is sent. What was accepted before is paid; it is watched to its end and kept."""
    visible_mission(request, mission_id)
    stopped = services.cancel_mission(mission_id=mission_id, actor=actor(request))
    return {**_stopped(mission_id, stopped), "cancelled_count": stopped.cancelled_count}


@router.post("/{mission_id}/pause", response=StoppedOut, summary="Pause a mission")
def pause_mission(request: HttpRequest, mission_id: Path[RowId]) -> dict[str, Any]:
    """When this answers, nothing more is sent until the mission is resumed."""
    visible_mission(request, mission_id)
    return _stopped(mission_id, services.pause_mission(mission_id=mission_id, actor=actor(request)))


@router.post("/{mission_id}/resume", response=StateOut, summary="Resume a mission")
def resume_mission(request: HttpRequest, mission_id: Path[RowId]) -> dict[str, Any]:
    visible_mission(request, mission_id)
    services.resume_mission(mission_id=mission_id, actor=actor(request))
    return state(mission_id)


@router.post("/{mission_id}/retry", response=RetriedOut, summary="Retry failed items")
def retry_mission(request: HttpRequest, mission_id: Path[RowId], payload: RetryIn | None = None) -> dict[str, Any]:
    """Submits failed items again, which costs money: all of them, those with an error code, or those at some places. Items that
    did not fail are never touched. The estimate is the price of one attempt for each."""
    visible_mission(request, mission_id)
    chosen = {} if payload is None else payload.dict(exclude_unset=True)
    done = services.retry_failed(
        mission_id=mission_id, actor=actor(request), on_done=remembering(request, mission_id), **chosen
    )
    return retried(mission_id, done)


# --- What the operations share ---


def caller(request: HttpRequest) -> User:
    return cast(User, request.user)


def actor(request: HttpRequest) -> str:
    return f"user:{request.user.pk}"


def visible_mission(request: HttpRequest, mission_id: int) -> Mission:
    return get_object_or_404(Mission.objects.visible_to(request.user), pk=mission_id)


def state(mission_id: int) -> dict[str, Any]:
    status = Mission.objects.values_list("status", flat=True).get(pk=mission_id)
    return {"api_mission_id": mission_id, "status": status}


def submitted(mission: Mission) -> dict[str, Any]:
    """The answer to a submission, in plain JSON values."""
    return {
        "api_mission_id": mission.pk,
        "total_count": mission.total_count,
        "status": str(mission.status),
        "estimate": {"amount": money(mission.estimated_cost), "currency": mission.currency},
        "urls": urls_of(mission.pk),
    }


def retried(mission_id: int, done: Retried) -> dict[str, Any]:
    estimate = {"amount": money(done.estimate), "currency": done.currency}
    return {**state(mission_id), "retry_count": done.count, "estimate": estimate}


def remembering(request: HttpRequest, mission_id: int) -> Callable[[Retried], None]:
    """For a retry: what keeps its answer in its own transaction, so that a repeated request never pays a second time."""
    return lambda done: _remember(request, 200, retried(mission_id, done))


def _remember(request: HttpRequest, status: int, answer: dict[str, Any], headers: dict[str, str] | None = None) -> None:
    """Store the answer under the request's Idempotency-Key, if it has one."""
    claim = getattr(request, "idempotency", None)
    if claim is not None:
        claim.remember(status, answer, headers)


def _stopped(mission_id: int, stopped: Stopped) -> dict[str, Any]:
    return {**state(mission_id), "still_sending_count": len(stopped.still_sending)}


def _require_known(request: HttpRequest, *names: str) -> None:
    unknown = [name for name in request.GET if name not in names]
    if unknown:
        message = _("Unknown. Allowed: %s.") % ", ".join(names)
        raise MissionInvalid([FieldError(name, message) for name in unknown])


def _arguments(user: User, payload: MissionIn) -> dict[str, Any]:
    """What ``services.check_mission`` and ``services.create_mission`` both take."""
    params = dict(payload.config)
    names = ("name", "description", "model", "repeat", "template_id", "metadata", "spending_limit", "allow_free_form")
    return {
        "owner": user,
        "task_type": payload.task_type.value,
        "rows": params.pop("batch_input", None),
        "params": params,
        **{name: getattr(payload, name) for name in names},
    }


def _verdict(payload: MissionIn, arguments: dict[str, Any]) -> dict[str, Any]:
    errors, draft = services.check_mission(**arguments)
    rows = arguments["rows"]
    return {
        "valid": draft is not None,
        "total_count": len(rows) * payload.repeat if isinstance(rows, list) else 0,
        "estimate": draft and {"amount": money(draft.estimated_cost), "currency": draft.model.currency},
        "errors": [{"field": place_in_body(error.field), "message": error.message} for error in errors],
    }
