"""``/missions/{id}/items``: watch single items, retry them, settle what is unconfirmed."""

from __future__ import annotations

from typing import Annotated, Any

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Field, Path, Query, Router

from core.api.ids import RowId
from missions import services
from missions.api.missions import actor, caller, remembering, retried, visible_mission
from missions.api.schemas import (
    MAX_INDEX,
    ItemDetailOut,
    ItemFilterIn,
    ItemPage,
    ItemRetryIn,
    ResolveIn,
    RetriedOut,
    item_page,
)
from missions.models import MissionItem

router = Router(tags=["Items"])

ItemIndex = Annotated[int, Field(ge=1, le=MAX_INDEX)]


@router.get("/{mission_id}/items", response=ItemPage, summary="List the items of a mission")
def list_items(request: HttpRequest, mission_id: Path[RowId], wanted: Query[ItemFilterIn]) -> dict[str, Any]:
    """In batch order. `next_cursor` leads to the next page, and is null on the last. Items never change their place: walking
    through sees each once, whatever happens meanwhile."""
    return item_page(visible_mission(request, mission_id), wanted)


@router.get("/{mission_id}/items/{index}", response=ItemDetailOut, summary="Show an item")
def show_item(request: HttpRequest, mission_id: Path[RowId], index: Path[ItemIndex]) -> MissionItem:
    """With its attempts, results and events."""
    return visible_item(request, mission_id, index)


@router.post("/{mission_id}/items/{index}/retry", response=RetriedOut, summary="Retry a failed item")
def retry_item(
    request: HttpRequest, mission_id: Path[RowId], index: Path[ItemIndex], payload: ItemRetryIn | None = None
) -> dict[str, Any]:
    """Submits it again, which costs money. `config` replaces some of its parameters; they are checked before anything
    changes. An item that did not fail is refused."""
    item = visible_item(request, mission_id, index)
    done = services.retry_item(
        item=item,
        actor=actor(request),
        params=None if payload is None else payload.config,
        allow_free_form=caller(request).is_staff,
        on_done=remembering(request, mission_id),
    )
    return retried(mission_id, done)


@router.post("/{mission_id}/items/{index}/resolve", response=ItemDetailOut, summary="Settle an unconfirmed item")
def resolve_item(
    request: HttpRequest, mission_id: Path[RowId], index: Path[ItemIndex], payload: ResolveIn
) -> MissionItem:
    """After a look at the provider's own site. `remote_task_id`: the task is there; it is attached, and not paid again.
    `not_run`: it never ran there; the item is submitted again."""
    item = visible_item(request, mission_id, index)
    if payload.remote_task_id is not None:
        services.resolve_with_task(item=item, remote_task_id=payload.remote_task_id, actor=actor(request))
    else:
        services.resolve_as_not_run(item=item, actor=actor(request))
    return visible_item(request, mission_id, index)


def visible_item(request: HttpRequest, mission_id: int, index: int) -> MissionItem:
    return get_object_or_404(visible_mission(request, mission_id).items.all(), index=index)
